/** Owns how much disk a directory takes. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK_BYTES = 512;

/** @returns the bytes of all blocks of its files, each file once whatever number of names it has */
export async function diskBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const blocks = new Map<number, number>();
  for (const { parentPath, name } of files) {
    const found = await stat(join(parentPath, name)).catch(() => undefined); // it may be gone by now
    if (found) blocks.set(found.ino, found.blocks);
  }
  return BLOCK_BYTES * [...blocks.values()].reduce((sum, count) => sum + count, 0);
}
