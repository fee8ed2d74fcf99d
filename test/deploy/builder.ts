/** Owns podman as a builder and runner of images, and the image that stands in for the official one of Node. */

import { cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Test } from 'tap';
import { findProgram, makeDirectory } from '../helpers/engines/needs.ts';
import { type Finished, type Program, runProgram, startProgram } from '../helpers/engines/program.ts';
import { acceptAnything } from '../helpers/engines/registries-conf.ts';
import { npmOrThrow } from './npm.ts';

/** What building and running an image needs from the machine. */
export const builderNeeds = ['root', 'podman', 'conmon', 'runc', 'npm', 'tar', 'ldd'] as const;

export interface Builder {
  /** A directory of the test's own. */
  directory: string;
  /** Runs `podman`. Throws when it fails. */
  podman(...args: string[]): Promise<string>;
  /** Runs it and tells how it ended. */
  try(...args: string[]): Promise<Finished>;
  /** Starts it. */
  start(...args: string[]): Program;
}

/** A build on a busy machine, which unpacks and packs a whole node. */
const deadlineMs = 400_000;

/** Sets podman up with a store of its own that can pull nothing. */
export async function makeBuilder(t: Test): Promise<Builder> {
  const directory = await makeDirectory(t, 'image');
  const inside = (name: string) => join(directory, name);
  await mkdir(inside('.config/containers'), { recursive: true });
  await writeFile(inside('.config/containers/policy.json'), acceptAnything);
  await writeFile(inside('registries.conf'), 'unqualified-search-registries = []\n');
  await writeFile(inside('containers.conf'), SETTINGS);
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
  };
  const flags = [`--tmpdir=${inside('tmp')}`];
  const attempt = (...args: string[]) => runProgram(t, 'podman', [...flags, ...args], { env, deadlineMs });
  return {
    directory,
    try: attempt,
    start: (...args) => startProgram(t, 'podman', [...flags, ...args], { env }),
    async podman(...args) {
      const finished = await attempt(...args);
      if (finished.code !== 0) throw new Error(`podman ${args.join(' ')}`, { cause: finished });
      return finished.stdout.trim();
    },
  };
}

/** Podman's own limits are higher than what a machine that is a container itself may give. */
const SETTINGS = `
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
`;

/** What the stages of the Dockerfile run, beside node and npm. */
const PROGRAMS = ['sh', 'env', 'chmod', 'chown', 'ln', 'mkdir'];

/**
 * Makes an image of this machine's node, npm and a few programs with their libraries, under a name of which nothing can
 * be pulled here.
 */
export async function importNodeImage({ directory, podman }: Builder, t: Test, name: string): Promise<void> {
  const root = join(directory, 'rootfs');
  const put = async (from: string, to: string): Promise<void> => {
    await mkdir(dirname(join(root, to)), { recursive: true });
    await cp(from, join(root, to), { recursive: true, dereference: true });
  };
  for (const path of ['tmp', 'root', 'etc', 'proc', 'dev', 'sys', 'home/node'])
    await mkdir(join(root, path), { recursive: true });
  await symlink('usr/bin', join(root, 'bin'));
  await put(process.execPath, 'usr/local/bin/node');
  for (const program of PROGRAMS) await put(needed(program), `usr/bin/${program}`);
  for (const program of [process.execPath, ...PROGRAMS.map(needed)])
    for (const library of await librariesOf(t, program)) await put(library, library);
  const npm = await realpath(needed('npm'));
  await put(dirname(dirname(npm)), 'usr/local/lib/node_modules/npm');
  await symlink(`../lib/node_modules/npm/bin/${basename(npm)}`, join(root, 'usr/local/bin/npm'));
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
  );
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  const archive = join(directory, 'rootfs.tar');
  await runOrThrow(t, 'tar', ['--create', '--numeric-owner', '--file', archive, '--directory', root, '.']);
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  await podman('import', '--quiet', '--change', `ENV ${path}`, archive, name);
}

function needed(name: string): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

async function librariesOf(t: Test, program: string): Promise<string[]> {
  const { stdout } = await runProgram(t, 'ldd', [program]);
  return [...stdout.matchAll(/(\/\S+)/g)].map(([, path]) => path ?? '').filter((path) => path !== program);
}

/**
 * `npm ci` within a build can ask no registry: it takes what `npm ci` of this machine has left in its cache, whose keys have
 * the registry's name.
 * @returns flags for `podman build`
 */
export async function offlineNpm(t: Test, { directory }: Builder): Promise<string[]> {
  const ask = (key: string) => npmOrThrow(t, directory, 'config', 'get', key);
  const npmrc = join(directory, 'npmrc');
  await writeFile(npmrc, `registry=${await ask('registry')}\noffline=true\nupdate-notifier=false\n`);
  const [cache, copied] = [join(await ask('cache'), '_cacache'), join(directory, 'npm-cache')];
  // The index is written to even where it is only read. The content is not.
  await cp(join(cache, 'index-v5'), join(copied, 'index-v5'), { recursive: true });
  const mounts = [
    `${npmrc}:/root/.npmrc:ro`,
    `${copied}:/root/.npm/_cacache`,
    `${join(cache, 'content-v2')}:/root/.npm/_cacache/content-v2:ro`,
  ];
  return mounts.flatMap((mount) => ['--volume', mount]);
}

async function runOrThrow(t: Test, name: string, args: string[]): Promise<string> {
  const finished = await runProgram(t, name, args);
  if (finished.code !== 0) throw new Error(`${name} ${args.join(' ')}`, { cause: finished });
  return finished.stdout;
}

/** The value that an `ARG` of a Dockerfile has unless it is given. */
export async function defaultOf(dockerfile: string, argument: string): Promise<string> {
  const found = new RegExp(`^ARG ${argument}=(\\S+)$`, 'm').exec(await readFile(dockerfile, 'utf8'));
  if (found?.[1] === undefined) throw new Error(`no ARG ${argument} in ${dockerfile}`);
  return found[1];
}
