/** Owns the making of a running daemon out of a configuration. The only place that constructs. */
import type { Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdminServer, createControlServer } from './admin/admin-server.ts';
import type { Control } from './admin/control-client.ts';
import { describeStatus, listImages, type Status } from './admin/status.ts';
import { Verifier } from './admin/verifier.ts';
import { runBackground } from './background.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { createRegistryServer, type RegistryServer } from './http/registry-server.ts';
import { addressUrl, drain, listenOn, listenOnSocket } from './listeners.ts';
import type { Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { Blobs } from './mirror/blobs.ts';
import { Listings } from './mirror/listings.ts';
import { ManifestCache } from './mirror/manifest-cache.ts';
import { Manifests } from './mirror/manifests.ts';
import { type UpstreamEntry, UpstreamTable } from './mirror/mirrored-upstream.ts';
import { Permission } from './mirror/permission.ts';
import { Visibility } from './mirror/visibility.ts';
import { type DiskHealth, observeRequests, observeStore, observeUpstream, restsOf } from './observers.ts';
import { type DataDirectory, openDataDirectory } from './store/data-directory.ts';
import type { StoreObserver } from './store/disk-store.ts';
import type { StorageError } from './store/errors.ts';
import { Upstream } from './upstream/upstream.ts';

export interface Daemon {
  /** what is true now */
  status(): Status;
  /**
   * Stops accepting, lets responses and fills finish within `drainMs`, keeps what is partial, and closes all.
   * @param atOnce aborted: waiting is over
   */
  close(atOnce: AbortSignal): Promise<void>;
}

/** After upstreams are closed, what still runs ends at once; this bounds a fault of our own. */
const SETTLE_DEADLINE_MS = 5_000;

/**
 * Builds and starts a daemon. Upstreams are not contacted: it starts when all of them are down.
 * @param now the clock, ms since the epoch
 * @throws StartError and what opening the data directory throws; nothing is left behind then
 */
export async function startDaemon(
  config: Config,
  log: Logger,
  version: string,
  now: () => number = Date.now,
): Promise<Daemon> {
  const metrics = new Metrics(version);
  const health: DiskHealth = { isWritable: true, reason: undefined };
  const observer = observeStore(metrics, log, health);
  const opened = await openDataDirectory({ ...config.storage, observer, now });
  const parts = assemble({ config, log, version, metrics, health, opened, now });
  const { registry, admin, control, stop } = parts;
  try {
    await listenOn(registry.server, config.listen, 'listen');
    await listenOn(admin, config.admin, 'admin');
    await listenOnSocket(control, config.storage.directory, config.control);
  } catch (error) {
    await closeAll(parts, AbortSignal.abort());
    throw error;
  }
  watchStore(metrics, opened, health);
  const background = runBackground({ ...parts, stop: stop.signal });
  return {
    status: parts.status,
    close: async (atOnce) => {
      stop.abort();
      const deadline = AbortSignal.any([atOnce, AbortSignal.timeout(config.http.drainMs)]);
      await closeAll(parts, deadline, background);
    },
  };
}

interface Foundation {
  config: Config;
  log: Logger;
  version: string;
  metrics: Metrics;
  health: DiskHealth;
  opened: DataDirectory;
  now: () => number;
}

interface Parts extends Foundation {
  upstreams: UpstreamEntry[];
  table: UpstreamTable;
  blobs: Blobs;
  registry: RegistryServer;
  admin: Server;
  control: Server;
  status: () => Status;
  /** aborted when the daemon begins to stop */
  stop: AbortController;
}

function assemble(foundation: Foundation): Parts {
  const { config, log, version, metrics, health, opened, now } = foundation;
  const upstreams = [...config.upstreams.values()].map((upstream) =>
    makeUpstream(upstream, config, metrics, log, now),
  );
  const table = new UpstreamTable(upstreams, config.defaultUpstream);
  metrics.watchRests(() => restsOf(table.all(), now()));
  const stop = new AbortController();
  const mirror = makeMirror(opened, table, config, log, now);
  const registry = createRegistryServer({
    ...mirror,
    upstreams: table,
    limits: config.http,
    isDraining: () => stop.signal.aborted,
    ended: observeRequests(metrics, log),
  });
  const startedAtMs = now();
  const status = (): Status =>
    describeStatus({
      ...opened,
      version,
      startedAtMs,
      listen: addressUrl(registry.server),
      admin: addressUrl(admin),
      directory: config.storage.directory,
      isOffline: () => config.offline,
      isWritable: () => health.isWritable,
      upstreams,
      defaultUpstream: config.defaultUpstream,
      now,
    });
  const verifier = makeVerifier(opened, config);
  const services = {
    metrics: metrics.registry,
    status,
    images: () => listImages(opened.catalog, opened.store),
    verify: (reference: string | undefined) => verifier.start(reference),
    notReady: () => reasonsNotReady(stop.signal, opened, health),
    log,
  };
  const admin = createAdminServer(services);
  const control = createControlServer(services);
  return { ...foundation, upstreams, table, blobs: mirror.blobs, registry, admin, control, status, stop };
}

/**
 * From the outside in: clients, then upstreams, then the directory. The directory goes last, when nothing that
 * began before can come back to it.
 */
async function closeAll(parts: Parts, deadline: AbortSignal, background?: Promise<void>): Promise<void> {
  const { registry, admin, control, opened, upstreams, stop, log } = parts;
  stop.abort();
  await Promise.all([drain(registry.server, deadline), opened.fills.close(deadline)]);
  await Promise.all([admin, control].map((server) => drain(server, AbortSignal.abort())));
  await Promise.all(upstreams.map(({ client }) => client.close()));
  const settled = Promise.all([registry.settled(), background]);
  const giveUp = new AbortController();
  const late = wait(SETTLE_DEADLINE_MS, 'late', { signal: giveUp.signal }).catch(() => 'in time');
  if ((await Promise.race([settled, late])) === 'late') {
    log.error('something does not end: the data directory is closed all the same');
  }
  giveUp.abort();
  opened.close();
}

/**
 * Opens a data directory that no daemon uses, for a command.
 * @throws what opening it throws
 */
export async function openLocalControl(config: Config, version: string): Promise<Control> {
  const now = Date.now;
  const { directory } = config.storage;
  const opened = await openDataDirectory({ ...config.storage, observer: SILENT, now });
  return {
    status: async () =>
      describeStatus({
        ...opened,
        version,
        startedAtMs: now(),
        listen: undefined,
        admin: undefined,
        directory,
        isOffline: () => config.offline,
        isWritable: () => true,
        upstreams: [],
        defaultUpstream: config.defaultUpstream,
        now,
      }),
    async *images() {
      yield* listImages(opened.catalog, opened.store);
    },
    async *verify(reference) {
      yield* makeVerifier(opened, config).start(reference);
    },
    close: async () => opened.close(),
  };
}

/** A command has no metrics and no log: what it finds is in its report. */
const SILENT: StoreObserver = {
  removed: () => undefined,
  found: () => undefined,
  fillEnded: () => undefined,
  discarded: () => undefined,
  storageFailed: () => undefined,
  storageWorks: () => undefined,
};

function makeUpstream(
  config: UpstreamConfig,
  { proxy }: Config,
  metrics: Metrics,
  log: Logger,
  now: () => number,
): UpstreamEntry {
  const client = new Upstream({
    ...config,
    proxy,
    observer: observeUpstream(metrics, log, config.host),
    now,
  });
  for (const { url } of client.endpoints) {
    metrics.endpointUp.set({ upstream: config.host, endpoint: new URL(url).host }, 1);
  }
  return {
    host: config.host,
    client,
    aliases: config.aliases,
    virtualHosts: config.virtualHosts,
    tagTtlMs: config.tagTtlMs,
    freshness: config.freshness,
    staleWhileRevalidateMs: config.staleWhileRevalidateMs,
    refreshAhead: config.refreshAhead,
    keepDeleted: config.keepDeleted,
    private: config.private,
    publicTtlMs: config.publicTtlMs,
    grantTtlMs: config.grantTtlMs,
    notFoundTtlMs: config.notFoundTtlMs,
    confirmMs: config.timeouts.confirmMs,
  };
}

function makeVerifier(opened: DataDirectory, { upstreams, defaultUpstream }: Config): Verifier {
  return new Verifier({ ...opened, upstreams: [...upstreams.values()], defaultUpstream });
}

function makeMirror(
  { store, fills, catalog }: DataDirectory,
  upstreams: UpstreamTable,
  config: Config,
  log: Logger,
  now: () => number,
) {
  const isOffline = (): boolean => config.offline;
  const visibility = new Visibility({ catalog, isOffline, now });
  const permission = new Permission({ catalog, visibility, isOffline, now });
  const cache = new ManifestCache(store, catalog);
  const failedBehind = (reference: string, error: unknown): void =>
    log.warn({ reference, error }, 'a tag could not be confirmed behind');
  const manifests = new Manifests({ catalog, cache, permission, visibility, isOffline, now, failedBehind });
  return {
    manifests,
    blobs: new Blobs({ store, fills, permission, visibility, isOffline, now }),
    listings: new Listings({ upstreams, catalog, cache, manifests, visibility, isOffline, now }),
  };
}

async function reasonsNotReady(
  stop: AbortSignal,
  opened: DataDirectory,
  health: DiskHealth,
): Promise<string[]> {
  if (stop.aborted) return ['stopping'];
  const lost = await opened.lost().catch((error: unknown) => String(error));
  if (lost || !health.isWritable) await opened.store.probe().catch((error: StorageError) => error); // it tells the observer
  const refusal = health.isWritable ? undefined : `the disk refuses: ${health.reason}`;
  const full = opened.store.ledger.isDiskFull
    ? 'the disk is full: nothing is cached until it has room'
    : undefined;
  return [lost, refusal, full].filter((reason) => reason !== undefined);
}

function watchStore(metrics: Metrics, { store, fills }: DataDirectory, health: DiskHealth): void {
  metrics.watch({
    storeBytes: () => store.ledger.usedBytes,
    storeMaxBytes: () => store.ledger.maxBytes,
    storeReservedBytes: () => store.ledger.reservedBytes,
    storeObjects: () => store.objects,
    storeWritable: () => health.isWritable && !store.ledger.isDiskFull,
    fillsInFlight: () => fills.size,
    fillReaders: () => fills.readers,
  });
}
