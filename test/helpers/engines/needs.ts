/** Owns what a test needs from the machine: programs on the path, the superuser, a directory of its own. */

import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';

/** Daemons live in `sbin`, which is not on everyone's path. */
const searchPath = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
].filter((directory) => directory !== '');

const { NODE_COMPILE_CACHE } = process.env;

/** What a child process gets to see of our environment: nothing that could carry a setting or a login. */
export const cleanEnvironment: Readonly<Record<string, string>> = {
  PATH: searchPath.join(delimiter),
  LANG: 'C.UTF-8',
  ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }),
};

/** The path of an executable, or undefined. */
export function findProgram(name: string): string | undefined {
  return searchPath.map((directory) => join(directory, name)).find(isExecutable);
}

/**
 * Whether the machine has everything in `names`: programs, and `root` for being the superuser. Where something
 * is missing the test is skipped with its name, but fails when `CI` is `true`: there all of them are expected.
 */
export function needs(t: Test, ...names: string[]): boolean {
  const missing = names.filter((name) => !has(name));
  if (missing.length === 0) return true;
  const reason = `needs ${missing.join(', ')}`;
  if (process.env.CI === 'true') t.fail(reason);
  else t.plan(0, reason);
  return false;
}

/**
 * A directory that is removed when the test ends. It is below the system's temporary directory because engines
 * put sockets into it, whose paths may not exceed 107 bytes, and file systems that overlays would not bear.
 */
export async function makeDirectory(t: Test, purpose: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `hubcap-${purpose}-`));
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
  return directory;
}

function has(name: string): boolean {
  return name === 'root' ? process.getuid?.() === 0 : findProgram(name) !== undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // Absent and not executable are the same to who wants to run it.
  }
}
