/** Owns the check of the clients on this machine: their files, the mirrors that these name, and the Docker that runs. */
import type { Config } from '../config/schema.ts';
import { type Finding, voiceOf } from './check.ts';
import { compareMirrors, runningFlags, runningMirrors } from './clients/docker-engine.ts';
import { checkMirrors, type OwnMirror } from './clients/mirrors.ts';
import { readClients } from './clients/read-clients.ts';
import { ClientFiles } from './clients/read-files.ts';

const say = voiceOf('clients');

export interface ClientsCheck {
  root: string;
  home: string | undefined;
  dockerSocket: string;
  /** undefined where it cannot be read */
  config: Config | undefined;
  signal: AbortSignal;
}

export async function checkClients({
  root,
  home,
  dockerSocket,
  config,
  signal,
}: ClientsCheck): Promise<Finding[]> {
  const files = new ClientFiles(root);
  const running = files.isMachine ? await runningFlags() : [];
  const { findings, mirrors, dockerMirrors } = await readClients(files, {
    running,
    home: files.isMachine ? home : undefined,
  });
  const [tried, inUse] = await Promise.all([
    checkMirrors(mirrors, ownMirror(config), files, signal),
    files.isMachine && dockerMirrors ? runningMirrors(dockerSocket, signal) : undefined,
  ]);
  const stale = dockerMirrors && inUse ? compareMirrors(dockerMirrors, inUse) : [];
  const all = [...findings, ...tried, ...stale];
  if (all.length > 0) return all;
  const where = files.isMachine ? 'here' : `below ${root}`;
  return [say.skipped('clients.none', `no client is set up ${where}: \`hubcap setup\` shows how`)];
}

/** @returns where this machine's clients may reach the hubcap of the configuration */
function ownMirror(config: Config | undefined): OwnMirror {
  if (!config) return { hosts: [], registries: undefined };
  const { listen, upstreams } = config;
  const isAll = ['', '0.0.0.0', '::'].includes(listen.host);
  const names =
    isAll || ['127.0.0.1', 'localhost'].includes(listen.host) ? ['127.0.0.1', 'localhost', '[::1]'] : [];
  const own = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const registries = new Set([...upstreams.values()].flatMap(({ host, aliases }) => [host, ...aliases]));
  return { hosts: [own, ...names].map((host) => `${host}:${listen.port}`), registries };
}
