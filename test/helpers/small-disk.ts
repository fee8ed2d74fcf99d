/** Owns a real file system that is too small, and somebody else who fills it. Needs root, mount and umount. */
import { execFileSync } from 'node:child_process';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Test } from 'tap';
import { KIB } from './content.ts';
import { makeDirectory } from './mirror.ts';

/** Mounts one that goes with the test. @returns its directory */
export async function mountSmall(t: Test, mebibytes: number): Promise<string> {
  const directory = await makeDirectory(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', directory]);
  t.teardown(() => execFileSync('umount', ['-l', directory]));
  return directory;
}

/** Takes every block that is left. @returns gives them back */
export async function fillUp(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, 'ballast');
  const file = await open(path, 'a');
  try {
    for (const chunk of [Buffer.alloc(256 * KIB), Buffer.alloc(4 * KIB)]) {
      while (await file.appendFile(chunk).then(() => true, isFull));
    }
  } finally {
    await file.close();
  }
  return () => rm(path);
}

/** Takes every block that is left, and whatever becomes free. @returns gives all back */
export async function hog(t: Test, directory: string): Promise<() => Promise<void>> {
  let isGreedy = true;
  const giveBack = await fillUp(directory);
  const taking = (async () => {
    for (; isGreedy; await nextTurn()) if ((await freeBytes(directory)) > 0) await fillUp(directory);
  })();
  const stop = async (): Promise<void> => {
    isGreedy = false;
    await taking;
  };
  t.teardown(stop);
  return async () => {
    await stop();
    await giveBack();
  };
}

export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

function isFull(error: NodeJS.ErrnoException): false {
  if (error.code !== 'ENOSPC') throw error;
  return false;
}
