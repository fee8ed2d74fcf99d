/** Owns hubcap's commands as a user gives them. */

import type { Test } from 'tap';
import { type Hubcap, main } from './hubcap.ts';
import { type Finished, runProgram } from './program.ts';

export interface Commands {
  /** Runs `hubcap ARGUMENTS`. Throws when it fails. Returns what it printed. */
  run(...args: string[]): Promise<string>;
  /** Runs it and tells how it ended. */
  try(...args: string[]): Promise<Finished>;
}

/** The commands for a data directory, whether a hubcap runs with it or not; run in `cwd` where that is given. */
export function commandsOf(
  t: Test,
  { dataDirectory }: Pick<Hubcap, 'dataDirectory'>,
  cwd?: string,
): Commands {
  const attempt = (...args: string[]) =>
    runProgram(t, process.execPath, [main, ...args, '--data', dataDirectory], {
      env: { HOME: '/nonexistent' },
      ...(cwd !== undefined && { cwd }),
    });
  return {
    try: attempt,
    async run(...args) {
      const finished = await attempt(...args);
      if (finished.code !== 0) throw new Error(`hubcap ${args.join(' ')}`, { cause: finished });
      return finished.stdout;
    },
  };
}
