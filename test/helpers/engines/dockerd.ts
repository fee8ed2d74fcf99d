/** Owns a Docker daemon of its own: its data, its containerd and its socket are no one else's. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeDirectory } from './needs.ts';
import { type Finished, runProgram, startProgram } from './program.ts';

/** What a test with Docker needs from the machine. */
export const dockerNeeds = ['root', 'dockerd', 'docker', 'containerd', 'runc'] as const;

export interface Docker {
  /** of its API */
  socket: string;
  /** Runs the `docker` command. Throws when it fails. */
  docker(...args: string[]): Promise<string>;
  /** Runs it and tells how it ended. */
  try(...args: string[]): Promise<Finished>;
  stop(): Promise<void>;
}

/** Starts dockerd with the `daemon.json` that is given. */
export async function startDockerd(t: Test, daemonJson: object | string): Promise<Docker> {
  const directory = await makeDirectory(t, 'docker');
  t.teardown(() => unmountBelow(t, directory));
  const configFile = join(directory, 'daemon.json');
  await writeFile(configFile, typeof daemonJson === 'string' ? daemonJson : JSON.stringify(daemonJson));
  await mkdir(join(directory, 'client'));
  const socket = join(directory, 'docker.sock');
  const host = `unix://${socket}`;
  const daemon = startProgram(
    t,
    'dockerd',
    [
      `--config-file=${configFile}`,
      `--data-root=${join(directory, 'data')}`,
      `--exec-root=${join(directory, 'exec')}`,
      `--pidfile=${join(directory, 'pid')}`,
      `--host=${host}`,
      '--storage-driver=vfs',
      '--iptables=false',
      '--ip6tables=false',
      '--bridge=none',
    ],
    // Where the mirror fails Docker asks its Hub, of which a test must see nothing: a proxy that is not there.
    { env: { HOME: directory, HTTPS_PROXY: 'http://127.0.0.1:9', NO_PROXY: '127.0.0.1' } },
  );
  await daemon.line(/API listen on/);
  const env = { HOME: directory, DOCKER_HOST: host, DOCKER_CONFIG: join(directory, 'client') };
  return {
    socket,
    async docker(...args) {
      const finished = await runProgram(t, 'docker', args, { env });
      if (finished.code !== 0) {
        throw new Error(`docker ${args.join(' ')}`, { cause: { finished, daemon: daemon.lines.slice(-30) } });
      }
      return finished.stdout.trim();
    },
    try: (...args) => runProgram(t, 'docker', args, { env }),
    stop: () => daemon.stop(),
  };
}

/** The `daemon.json` that makes Docker pull from a mirror. */
export function mirroredBy(mirrorUrl: string): object {
  return { 'registry-mirrors': [mirrorUrl] };
}

/** A dockerd that fails to start leaves its data mounted on itself, which cannot be removed then. */
export async function unmountBelow(t: Test, directory: string): Promise<void> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n');
  for (const path of mounts.map((line) => line.split(' ')[1] ?? '')) {
    if (path.startsWith(`${directory}/`)) await runProgram(t, 'umount', ['--lazy', path]);
  }
}
