/** Owns the order of the checks: what needs nothing of another runs beside it, and all of them within one deadline. */
import type { ConfigError } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type Finding, groups, voiceOf } from './check.ts';
import { checkClients } from './clients.ts';
import { type ClockReading, checkClock } from './clock.ts';
import { askDaemon, checkDaemon } from './daemon.ts';
import { LateError, TOTAL_MS } from './deadline.ts';
import { checkDirectory, lockHolder } from './directory.ts';
import { checkDisk } from './disk.ts';
import { checkConfig, configProblems } from './own-config.ts';
import { checkPort } from './ports.ts';
import { checkPlace, type Place, type ProbeImage, usualImage } from './upstream.ts';

export interface CheckRequest {
  /** or every problem with it */
  config: { config: Config; file: string | undefined } | { error: ConfigError };
  version: string;
  /** below which the files of clients are looked for */
  root: string;
  /** of the user; undefined where the files are another machine's */
  home: string | undefined;
  uid: number | undefined;
  /** what is asked for of an upstream, by its host */
  images: ReadonlyMap<string, ProbeImage>;
  parts: { hubcap: boolean; upstreams: boolean; clients: boolean };
  dockerSocket: string;
  signal: AbortSignal;
  totalMs?: number;
}

/** @returns all that was found, by group. @throws the signal's reason */
export async function runChecks(request: CheckRequest): Promise<Finding[]> {
  const { totalMs = TOTAL_MS } = request;
  const late = AbortSignal.timeout(totalMs);
  const signal = AbortSignal.any([request.signal, late]);
  const told: Finding[] = [];
  const part: Part = async (group, work, subject = 'this') => {
    try {
      told.push(...(await work()));
    } catch (error) {
      request.signal.throwIfAborted();
      told.push(unfinished(group, late.aborted ? new LateError(totalMs) : error, subject));
    }
  };
  const own = 'config' in request.config ? request.config.config : undefined;
  const hubcap = own && request.parts.hubcap ? checkHubcap(own, request, part, signal) : undefined;
  const upstreams = own && request.parts.upstreams ? checkUpstreams(own, request, part, signal) : undefined;
  const clients = request.parts.clients
    ? part('clients', () => checkClients({ ...request, config: own, signal }))
    : undefined;
  told.push(
    ...('error' in request.config
      ? configProblems(request.config.error)
      : checkConfig(request.config.config, request.config.file)),
  );
  await Promise.all([hubcap, upstreams, clients]);
  return groups.flatMap((group) => told.filter((finding) => finding.group === group));
}

/** @param subject what could not be checked where it could not */
type Part = (group: Finding['group'], work: () => Promise<Finding[]>, subject?: string) => Promise<void>;

async function checkHubcap(
  config: Config,
  { version, uid }: CheckRequest,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  const { directory } = config.storage;
  const [asked, holder] = await Promise.all([askDaemon(config, signal), lockHolder(directory)]);
  const status = asked && 'status' in asked ? asked.status : undefined;
  const isStarting = !status && holder !== undefined;
  const usedBytes = status?.store.bytes;
  await Promise.all([
    part('data directory', () => checkDirectory({ directory, daemon: status, holder, uid })),
    part('disk', () => checkDisk(directory, { ...config.storage, usedBytes })),
    part('ports', async () => {
      const { listen, admin } = config;
      // One after the other: who listens on one could be told as the holder of the other.
      return [
        await checkPort({ option: 'listen', address: listen, running: status?.listen, isStarting }),
        await checkPort({ option: 'admin', address: admin, running: status?.admin, isStarting }),
      ];
    }),
    part('daemon', () => checkDaemon(asked, config, version, signal)),
  ]);
}

async function checkUpstreams(
  config: Config,
  { images }: CheckRequest,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  if (config.offline) {
    await part('upstreams', async () => [
      voiceOf('upstreams').skipped('upstreams', 'offline is set: no upstream is asked'),
    ]);
    return;
  }
  const clocks: ClockReading[] = [];
  const places = [...config.upstreams.values()].flatMap((upstream): Place[] => {
    const image = images.get(upstream.host) ?? usualImage(upstream.host);
    const at = (endpoint: Place['endpoint'], isAuthority: boolean): Place => ({
      upstream,
      endpoint,
      isAuthority,
      proxy: config.proxy,
      image,
    });
    return [...upstream.mirrors.map((mirror) => at(mirror, false)), at(upstream, true)];
  });
  const found = new Map<Place, Finding[]>();
  await Promise.all(
    places.map(async (place) => {
      const work = async (): Promise<Finding[]> => {
        const { findings, clock } = await checkPlace(place, signal);
        if (clock) clocks.push(clock);
        found.set(place, findings);
        return [];
      };
      await part('upstreams', work, `${place.upstream.host} (${place.endpoint.url.host})`);
    }),
  );
  await part('upstreams', async () => places.flatMap((place) => found.get(place) ?? []));
  await part('clock', async () => checkClock(clocks, Date.now()));
}

function unfinished(group: Finding['group'], error: unknown, subject: string): Finding {
  const why = error instanceof Error ? error.message : String(error);
  return voiceOf(group).failed(
    `${group.replace(' ', '-')}.unfinished`,
    `${subject} could not be checked to its end: ${why}`,
    'try again',
  );
}
