/** Owns skopeo with settings of its own. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeDirectory } from './needs.ts';
import { runProgram } from './program.ts';
import { acceptAnything } from './registries-conf.ts';

/** What a test with skopeo needs from the machine. */
export const skopeoNeeds = ['skopeo'] as const;

/** Runs `skopeo`. Throws when it fails. Returns what it printed, to the byte but for the last line's end. */
export type Skopeo = (...args: string[]) => Promise<string>;

/** Sets skopeo up so that it uses nothing of the machine's settings. */
export async function makeSkopeo(t: Test): Promise<Skopeo> {
  const directory = await makeDirectory(t, 'skopeo');
  const inside = (name: string) => join(directory, name);
  await writeFile(inside('policy.json'), acceptAnything);
  await writeFile(inside('auth.json'), '{}');
  await writeFile(inside('registries.conf'), 'unqualified-search-registries = []\n');
  const env = {
    HOME: directory,
    XDG_RUNTIME_DIR: directory,
    CONTAINERS_REGISTRIES_CONF: inside('registries.conf'),
    REGISTRY_AUTH_FILE: inside('auth.json'),
  };
  return async (...args) => {
    const flags = ['--policy', inside('policy.json'), '--tmpdir', directory];
    const finished = await runProgram(t, 'skopeo', [...flags, ...args], { env });
    if (finished.code !== 0) throw new Error(`skopeo ${args.join(' ')}`, { cause: finished });
    return finished.stdout;
  };
}
