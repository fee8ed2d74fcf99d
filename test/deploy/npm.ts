/** Owns npm as whoever runs the tests has configured it. */

import { cp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { type Finished, runProgram } from '../helpers/engines/program.ts';

export const root = join(import.meta.dirname, '../..');

/** A build on a busy machine, or a registry that is far. */
const deadlineMs = 240_000;

/** Runs npm with the registry, the cache and the certificates that it has outside of tests, and tells how it ended. */
export async function npm(t: Test, cwd: string, ...args: string[]): Promise<Finished> {
  const env = { HOME: process.env.HOME ?? '/root', ...npmVariables() };
  // tap has every node that a test starts load what follows it, which not all compilers bear.
  return await runProgram(t, 'env', ['--unset=NODE_OPTIONS', 'npm', ...args], { env, cwd, deadlineMs });
}

/** The same for what must succeed. Returns what it printed. */
export async function npmOrThrow(t: Test, cwd: string, ...args: string[]): Promise<string> {
  const finished = await npm(t, cwd, ...args);
  if (finished.code !== 0) throw new Error(`npm ${args.join(' ')}`, { cause: finished });
  return finished.stdout.trim();
}

/** What the environment says of the registry. In a run by npm itself there is more, which is about that run. */
function npmVariables(): Record<string, string> {
  const wanted =
    /^npm_config_(registry|cache|userconfig|globalconfig|cafile)$|^(https?|no)_proxy$|^NODE_EXTRA_CA_CERTS$/i;
  const chosen = Object.entries(process.env).filter(([name, value]) => wanted.test(name) && value);
  return Object.fromEntries(chosen.map(([name, value]) => [name, value ?? '']));
}

/**
 * Whether npm failed because it could not get packages. The test is skipped then, with the reason; in CI they are
 * expected to be there, and it fails.
 */
export function lacksPackages(t: Test, { code, stderr }: Finished): boolean {
  const unreachable =
    /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)\b/;
  if (code === 0 || process.env.CI === 'true' || !unreachable.test(stderr)) return false;
  t.plan(0, 'needs an npm registry, or all packages in the cache of npm');
  return true;
}

/** What a clean clone does not have. */
const NOT_CLONED = new Set(['node_modules', 'dist', '.git', '.tap', 'coverage', '.hubcap']);

/** Copies the repository as a clone has it. */
export async function cloneTo(directory: string): Promise<void> {
  const filter = (source: string): boolean => source === root || !NOT_CLONED.has(basename(source));
  await cp(root, directory, { recursive: true, filter });
}
