/** Owns a containerd of its own, and its `hosts.toml`. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeDirectory } from './needs.ts';
import { runProgram, startProgram } from './program.ts';

/** What a test with containerd needs from the machine. */
export const containerdNeeds = ['root', 'containerd', 'ctr'] as const;

export interface Containerd {
  /** Runs `ctr`. Throws when it fails. */
  ctr(...args: string[]): Promise<string>;
  /** The flags that make a pull use the mirror. */
  pullFlags: readonly string[];
}

/** Starts containerd, with `mirrorUrl` as the only way to these registries that works. */
export async function startContainerd(
  t: Test,
  mirrorUrl: string,
  ...registryHosts: string[]
): Promise<Containerd> {
  const directory = await makeDirectory(t, 'containerd');
  const socket = join(directory, 'containerd.sock');
  const configFile = join(directory, 'config.toml');
  const hosts = join(directory, 'hosts');
  await writeFile(configFile, configure(directory, socket));
  for (const host of registryHosts.length === 0 ? ['docker.io'] : registryHosts) {
    await mkdir(join(hosts, host), { recursive: true });
    await writeFile(join(hosts, host, 'hosts.toml'), describeHosts(mirrorUrl));
  }
  const env = { HOME: directory };
  const daemon = startProgram(t, 'containerd', ['--config', configFile], { env });
  await daemon.line(/containerd successfully booted/);
  return {
    pullFlags: ['--hosts-dir', hosts],
    async ctr(...args) {
      const flags = ['--address', socket, '--namespace', 'hubcap'];
      const finished = await runProgram(t, 'ctr', [...flags, ...args], { env });
      if (finished.code !== 0) throw new Error(`ctr ${args.join(' ')}`, { cause: finished });
      return finished.stdout.trim();
    },
  };
}

/** Only what pulling needs: no container runs, and nothing outside of the directory is written. */
function configure(directory: string, socket: string): string {
  return `
version = 2
root = "${join(directory, 'root')}"
state = "${join(directory, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
`;
}

/** Where the mirror fails containerd asks `server`, of which a test must see nothing: nobody listens there. */
function describeHosts(mirrorUrl: string): string {
  return `
server = "http://127.0.0.1:9"
[host."${mirrorUrl}"]
  capabilities = ["pull", "resolve"]
`;
}
