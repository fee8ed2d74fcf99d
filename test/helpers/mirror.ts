/** Owns a hubcap that runs inside the test's process, with a data directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import type { Test } from 'tap';
import type { ReloadReport, Status } from '../../src/admin/status.ts';
import { upstreamDefaults } from '../../src/config/presets.ts';
import type { Config, UpstreamConfig } from '../../src/config/schema.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { describeError } from '../../src/log.ts';
import { ANY_MANIFEST, type Ask, fetch, type Open, open, type Received } from './client.ts';
import { MIB } from './content.ts';
import type { PersonaServer } from './persona-server.ts';
import { until } from './waiting.ts';

type UpstreamSettings = Partial<Omit<UpstreamConfig, 'host' | 'timeouts'>> & {
  timeouts?: Partial<UpstreamConfig['timeouts']>;
};

export interface MirrorSettings {
  /** by the host that clients name; the first is the default upstream */
  upstreams: Record<string, { at: PersonaServer | URL } & UpstreamSettings>;
  /** one that an earlier hubcap used; a fresh one where it is left out */
  directory?: string;
  maxBytes?: number;
  minFreeBytes?: number;
  scrubBytesPerS?: number;
  offline?: boolean;
  prewarm?: Config['prewarm'];
  adminNames?: Config['adminNames'];
  http?: Partial<Config['http']>;
  proxy?: Config['proxy'];
  /** ms since the epoch, where the test moves the clock */
  now?: () => number;
}

export interface RunningMirror {
  readonly url: string;
  readonly admin: string;
  readonly directory: string;
  readonly daemon: Daemon;
  /** JSON lines, at every level */
  readonly logs: string[];
  get(path: string, ask?: Ask): Promise<Received>;
  head(path: string, ask?: Ask): Promise<Received>;
  open(path: string, ask?: Ask): Promise<Open>;
  /** GET of a manifest, by a client that takes an index */
  manifest(path: string): Promise<Received>;
  status(): Status;
  /** the status code of /readyz */
  ready(): Promise<number>;
  /** the sum of a metric's samples whose line holds all of `parts` */
  metric(name: string, ...parts: string[]): Promise<number>;
  /** Waits until the requests that were sent before have been read: connections are served in their order. */
  reached(): Promise<void>;
  /** Has other settings from now on, as far as they hold without a restart. */
  reload(settings: MirrorSettings): Promise<ReloadReport>;
  /** Waits until no fill runs. */
  settled(): Promise<void>;
  /** @param isAtOnce false: as SIGTERM does, with the drain time of the settings */
  close(isAtOnce?: boolean): Promise<void>;
}

/** Long enough never to be met where a story is not about them. */
const HTTP: Config['http'] = {
  headerTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  keepAliveMs: 5_000,
  maxConnections: 1024,
  drainMs: 10_000,
};

/** A directory that is removed when the test has ended. */
export async function makeDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hubcap-test-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export function makeConfig(directory: string, settings: MirrorSettings): Config {
  const entries = Object.entries(settings.upstreams).map(([host, { at, timeouts, ...other }]) => {
    const upstream: UpstreamConfig = {
      ...upstreamDefaults,
      url: at instanceof URL ? at : new URL(at.url),
      retries: 1,
      ...other,
      host,
      // As often as `retries` says and no longer: what fails for good is told at once, and asked for again at once.
      timeouts: { ...upstreamDefaults.timeouts, stallMs: 0, probeMs: 0, ...timeouts },
    };
    return [host, upstream] as const;
  });
  return {
    listen: { host: '127.0.0.1', port: 0 },
    admin: { host: '127.0.0.1', port: 0 },
    adminNames: settings.adminNames ?? 'loopback',
    control: undefined,
    storage: {
      directory,
      maxBytes: settings.maxBytes ?? 256 * MIB,
      minFreeBytes: settings.minFreeBytes ?? 0,
      scrubBytesPerS: settings.scrubBytesPerS ?? 0,
    },
    upstreams: new Map(entries),
    defaultUpstream: entries[0]?.[0] ?? '',
    prewarm: settings.prewarm ?? [],
    offline: settings.offline ?? false,
    http: { ...HTTP, ...settings.http },
    log: { level: 'trace', format: 'json' },
    proxy: settings.proxy ?? {},
  };
}

/** Starts a hubcap that ends with the test. */
export async function startMirror(t: Test, settings: MirrorSettings): Promise<RunningMirror> {
  const directory = settings.directory ?? (await makeDirectory(t));
  const logs: string[] = [];
  const log = pino(
    { level: 'trace', base: null, serializers: { error: describeError } },
    { write: (line: string) => logs.push(line) },
  );
  let current = settings;
  const load = () => makeConfig(directory, current);
  const daemon = await startDaemon(load(), log, '0.0.0-test', { now: settings.now, load });
  let closing: Promise<void> | undefined;
  const close = (isAtOnce = true): Promise<void> => {
    const never = new AbortController().signal;
    closing ??= daemon.close(isAtOnce ? AbortSignal.abort() : never);
    return closing;
  };
  t.teardown(() => close());
  const { listen: url = '', admin = '' } = daemon.status();
  const mirror: RunningMirror = {
    url,
    admin,
    directory,
    daemon,
    logs,
    get: (path, ask) => fetch(url + path, ask),
    head: (path, ask) => fetch(url + path, { ...ask, method: 'HEAD' }),
    open: (path, ask) => open(url + path, ask),
    manifest: (path) => fetch(url + path, { headers: ANY_MANIFEST }),
    status: () => daemon.status(),
    ready: async () => (await fetch(`${admin}/readyz`)).status,
    metric: async (name, ...parts) => sumOf((await fetch(`${admin}/metrics`)).body.toString(), name, parts),
    reached: async () => {
      for (let n = 0; n < 3; n++) await fetch(`${url}/v2/`);
    },
    reload: (next) => {
      current = next;
      return daemon.reload();
    },
    settled: () => until('no fill runs', () => daemon.status().fills.length === 0),
    close,
  };
  return mirror;
}

function sumOf(page: string, name: string, parts: readonly string[]): number {
  return page
    .split('\n')
    .filter((line) => /^[a-z_]+/.exec(line)?.[0] === name && parts.every((part) => line.includes(part)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
