/** Owns podman with a store and settings of its own. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeDirectory } from './needs.ts';
import { runProgram } from './program.ts';
import { acceptAnything, mirrorRegistries } from './registries-conf.ts';

/** What a test with podman needs from the machine. */
export const podmanNeeds = ['root', 'podman', 'conmon'] as const;

/** Runs `podman`. Throws when it fails. */
export type Podman = (...args: string[]) => Promise<string>;

/**
 * Sets podman up with `mirrorHost` as the only way to `docker.io` that works.
 * @param dropIns what is in `registries.conf.d`, by name
 */
export async function makePodman(
  t: Test,
  mirrorHost: string,
  registries = mirrorRegistries(mirrorHost),
  dropIns: Readonly<Record<string, string>> = {},
): Promise<Podman> {
  const directory = await makeDirectory(t, 'podman');
  const inside = (name: string) => join(directory, name);
  await writeFile(inside('registries.conf'), registries);
  await writeFile(inside('auth.json'), '{}');
  await mkdir(inside('.config/containers/registries.conf.d'), { recursive: true });
  for (const [name, text] of Object.entries(dropIns))
    await writeFile(inside(`.config/containers/registries.conf.d/${name}`), text);
  await writeFile(inside('.config/containers/policy.json'), acceptAnything);
  await writeFile(
    inside('containers.conf'),
    '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n',
  );
  await writeFile(
    inside('storage.conf'),
    `[storage]\ndriver = "vfs"\ngraphroot = "${inside('root')}"\nrunroot = "${inside('run')}"\n`,
  );
  const env = {
    HOME: directory,
    XDG_RUNTIME_DIR: directory,
    TMPDIR: directory,
    CONTAINERS_CONF: inside('containers.conf'),
    CONTAINERS_STORAGE_CONF: inside('storage.conf'),
    CONTAINERS_REGISTRIES_CONF: inside('registries.conf'),
    REGISTRY_AUTH_FILE: inside('auth.json'),
    // Where the mirror fails podman may ask a registry on the internet, of which a test must see nothing.
    HTTPS_PROXY: 'http://127.0.0.1:9',
    NO_PROXY: '127.0.0.1',
  };
  return async (...args) => {
    const finished = await runProgram(t, 'podman', [`--tmpdir=${inside('tmp')}`, ...args], { env });
    if (finished.code !== 0) throw new Error(`podman ${args.join(' ')}`, { cause: finished });
    return finished.stdout.trim();
  };
}
