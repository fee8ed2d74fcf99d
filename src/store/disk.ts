/** Owns asking the file system that holds the store: what is free, and whether it can be written. */
import { statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Layout, writeDurably } from './layout.ts';

/** @returns what unprivileged writers may still use of the file system, bytes */
export async function freeBytesOf({ root }: Layout): Promise<number> {
  const { bavail, bsize } = await statfs(root);
  return bavail * bsize;
}

/** Writes, syncs and removes a file, in directories that somebody may have removed. @throws where that fails */
export async function tryDisk(layout: Layout): Promise<void> {
  const path = join(layout.fills, `probe-${process.pid}`);
  await layout.create();
  await writeDurably(path, Buffer.from('hubcap'));
  await unlink(path);
}
