/** Owns the mirrors that are compared: what each needs, how each is started, and the processes that it consists of. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { findProgram } from '../../test/helpers/engines/needs.ts';
import { cpuSeconds, memoryOf } from '../cpu.ts';
import { runClient, type Server } from '../processes.ts';
import type { Contestant } from '../scenario.ts';
import type { Teardown } from '../teardown.ts';
import { startDockerRegistry } from './docker-registry.ts';
import { startHubcap } from './hubcap.ts';
import { startNginxCache } from './nginx-cache.ts';
import { startZot } from './zot.ts';

export interface PeerOptions {
  upstreamUrl: string;
  /** of a peer that ran before; an empty one unless given */
  storage?: string;
  /** how long a tag is believed, by those who believe it at all */
  tagTtlSeconds: number;
  /** of content on disk, for those who have a budget */
  budgetBytes?: number;
}

/** A peer that runs. */
export interface Mirror {
  server: Server;
  url: string;
  storage: string;
}

export interface Peer {
  contestant: Contestant;
  /** on the path, or where the environment says */
  program: string;
  version: () => Promise<string>;
  /** whether it can be told how much disk to use */
  hasBudget: boolean;
  start(teardown: Teardown, options: PeerOptions): Promise<Mirror>;
}

const SLICE_BYTES = 4 * 1024 * 1024;

const { BENCH_DISTRIBUTION = 'registry', BENCH_ZOT = 'zot' } = process.env;

export const peers: readonly Peer[] = [
  {
    contestant: 'hubcap',
    program: process.execPath,
    version: async () => `the build in dist/, Node.js ${process.versions.node}`,
    hasBudget: true,
    start: async (teardown, { upstreamUrl, storage, tagTtlSeconds, budgetBytes }) => {
      const { server, url, dataDirectory } = await startHubcap(teardown, {
        upstreamUrl,
        upstream: { tagTtl: `${tagTtlSeconds}s` },
        ...(storage !== undefined && { dataDirectory: storage }),
        ...(budgetBytes !== undefined && { maxSize: String(budgetBytes) }),
      });
      return { server, url, storage: dataDirectory };
    },
  },
  distribution('docker-registry', 'docker-registry'),
  distribution('distribution 3', BENCH_DISTRIBUTION),
  {
    contestant: 'zot',
    program: BENCH_ZOT,
    version: async () => 'a program that does not tell its release',
    hasBudget: false,
    start: (teardown, options) => startZot(teardown, { command: BENCH_ZOT, ...options }),
  },
  nginx('nginx cache'),
  nginx('nginx cache, slices', SLICE_BYTES),
];

/** Whether its program is on this machine. */
export function isPresent({ program }: Peer): boolean {
  return isAbsolute(program) ? existsSync(program) : findProgram(program) !== undefined;
}

/** @returns the processor time that all processes of a mirror have used */
export async function cpuOf(mirror: Mirror): Promise<number> {
  return sum(await Promise.all((await pidsOf(mirror.server.pid)).map(cpuSeconds)));
}

/** @returns what all processes of a mirror have in memory; pages that they share count once for each */
export async function rssOf(mirror: Mirror): Promise<number> {
  const memories = await Promise.all((await pidsOf(mirror.server.pid)).map(memoryOf));
  return sum(memories.map(({ rssBytes }) => rssBytes));
}

/** The process and its children: nginx has some. */
export async function pidsOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}

function distribution(contestant: Contestant, command: string): Peer {
  return {
    contestant,
    program: command,
    version: async () => (await runClient(command, ['--version'])).trim().replace(/^\S+ /, ''), // its own path
    hasBudget: false,
    start: async (teardown, { upstreamUrl, storage }) => {
      const directory = storage ?? join(await teardown.directory('storage'), 'storage');
      const { server, url } = await startDockerRegistry(teardown, upstreamUrl, directory, command);
      return { server, url, storage: directory };
    },
  };
}

function nginx(contestant: Contestant, sliceBytes?: number): Peer {
  return {
    contestant,
    program: 'nginx',
    version: async () => (await runClient('nginx', ['-v'])).trim(),
    hasBudget: true,
    start: (teardown, options) => startNginxCache(teardown, { ...options, sliceBytes }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
