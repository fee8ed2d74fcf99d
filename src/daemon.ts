/** Owns the making of a running daemon out of a configuration. The only place that constructs. */
import { createAdminServer, createControlServer } from './admin/admin-server.ts';
import type { Control } from './admin/control-client.ts';
import { describeStatus, listImages, type Status } from './admin/status.ts';
import type { Config, UpstreamConfig } from './config/schema.ts';
import { createRegistryServer } from './http/registry-server.ts';
import { addressUrl, drain, listenOn, listenOnSocket } from './listeners.ts';
import type { Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { Blobs } from './mirror/blobs.ts';
import { Listings } from './mirror/listings.ts';
import { ManifestCache } from './mirror/manifest-cache.ts';
import { Manifests } from './mirror/manifests.ts';
import { type UpstreamEntry, UpstreamTable } from './mirror/mirrored-upstream.ts';
import { Permission } from './mirror/permission.ts';
import { resumePartials } from './mirror/resume-partials.ts';
import { type DiskHealth, observeRequests, observeStore, observeUpstream } from './observers.ts';
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

const FLUSH_INTERVAL_MS = 5_000;
const PROBE_INTERVAL_MS = 10_000;

/**
 * Builds and starts a daemon. Upstreams are not contacted: it starts when all of them are down.
 * @throws StartError and what opening the data directory throws; nothing is left behind then
 */
export async function startDaemon(config: Config, log: Logger, version: string): Promise<Daemon> {
  const now = Date.now;
  const metrics = new Metrics(version);
  const health: DiskHealth = { isWritable: true, reason: undefined };
  const { directory, maxBytes, minFreeBytes } = config.storage;
  const observer = observeStore(metrics, log, health);
  const opened = await openDataDirectory({ directory, maxBytes, minFreeBytes, observer, now });
  const upstreams = [...config.upstreams.values()].map((upstream) =>
    makeUpstream(upstream, config, metrics, now),
  );
  const stop = new AbortController();
  const cleanups: (() => unknown)[] = [
    () => opened.close(),
    () => Promise.all(upstreams.map(({ client }) => client.close())),
  ];
  const closeAll = async (): Promise<void> => {
    stop.abort();
    while (cleanups.length > 0) await cleanups.pop()?.();
  };
  try {
    const table = new UpstreamTable(upstreams, config.defaultUpstream);
    const mirror = makeMirror(opened, config, now);
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
        listen: addressUrl(registry),
        admin: addressUrl(admin),
        directory,
        isOffline: () => config.offline,
        isWritable: () => health.isWritable,
        upstreams,
        defaultUpstream: config.defaultUpstream,
        now,
      });
    const services = {
      metrics: metrics.registry,
      status,
      images: () => listImages(opened.catalog, opened.store),
      notReady: async () => reasonsNotReady(stop.signal, opened, health),
      log,
    };
    const admin = createAdminServer(services);
    const control = createControlServer(services);
    await listenOn(registry, config.listen, 'listen');
    cleanups.push(() => drain(registry, AbortSignal.abort()));
    await listenOn(admin, config.admin, 'admin');
    cleanups.push(() => drain(admin, AbortSignal.abort()));
    cleanups.push(await listenOnSocket(control, directory, config.control));
    watchStore(metrics, opened, health);
    runBackground(opened, health, stop.signal, log, () =>
      resumePartials(opened.partials, table, mirror.blobs, stop.signal),
    );
    return {
      status,
      close: async (atOnce) => {
        stop.abort();
        const deadline = AbortSignal.any([atOnce, AbortSignal.timeout(config.http.drainMs)]);
        await Promise.all([drain(registry, deadline), opened.fills.close(deadline)]);
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/**
 * Opens a data directory that no daemon uses, for a command.
 * @throws what opening it throws
 */
export async function openLocalControl(config: Config, version: string): Promise<Control> {
  const now = Date.now;
  const { directory, maxBytes, minFreeBytes } = config.storage;
  const opened = await openDataDirectory({ directory, maxBytes, minFreeBytes, observer: SILENT, now });
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
    close: async () => opened.close(),
  };
}

/** A command that only reads has nothing to count. */
const SILENT: StoreObserver = {
  removed: () => undefined,
  fillEnded: () => undefined,
  storageFailed: () => undefined,
  storageWorks: () => undefined,
};

function makeUpstream(
  config: UpstreamConfig,
  { proxy }: Config,
  metrics: Metrics,
  now: () => number,
): UpstreamEntry {
  const { host, aliases, virtualHosts, tagTtlMs, notFoundTtlMs, timeouts } = config;
  const client = new Upstream({ ...config, proxy, observer: observeUpstream(metrics, host), now });
  return { host, client, aliases, virtualHosts, tagTtlMs, notFoundTtlMs, confirmMs: timeouts.confirmMs };
}

function makeMirror({ store, fills, catalog }: DataDirectory, config: Config, now: () => number) {
  const permission = new Permission(catalog, now);
  const cache = new ManifestCache(store, catalog);
  const isOffline = (): boolean => config.offline;
  return {
    manifests: new Manifests({ catalog, cache, permission, isOffline, now }),
    blobs: new Blobs({ store, fills, catalog, permission, isOffline, now }),
    listings: new Listings({ catalog, isOffline, now }),
  };
}

async function reasonsNotReady(
  stop: AbortSignal,
  { store }: DataDirectory,
  health: DiskHealth,
): Promise<string[]> {
  if (stop.aborted) return ['stopping'];
  if (!health.isWritable) await store.probe().catch((error: StorageError) => error); // it tells the observer
  return health.isWritable ? [] : [`the disk refuses: ${health.reason}`];
}

function watchStore(metrics: Metrics, { store, fills }: DataDirectory, health: DiskHealth): void {
  metrics.watch({
    storeBytes: () => store.ledger.usedBytes,
    storeMaxBytes: () => store.ledger.maxBytes,
    storeReservedBytes: () => store.ledger.reservedBytes,
    storeObjects: () => store.objects,
    storeWritable: () => health.isWritable,
    fillsInFlight: () => fills.size,
    fillReaders: () => fills.readers,
  });
}

/** What goes on beside serving, until `stop`. None of it may end the process. */
function runBackground(
  opened: DataDirectory,
  health: DiskHealth,
  stop: AbortSignal,
  log: Logger,
  resume: () => Promise<void>,
): void {
  const every = (intervalMs: number, what: string, work: () => Promise<void> | void): void => {
    const timer = setInterval(async () => {
      try {
        await work();
      } catch (error) {
        log.warn({ error }, what);
      }
    }, intervalMs);
    timer.unref();
    stop.addEventListener('abort', () => clearInterval(timer), { once: true });
  };
  every(FLUSH_INTERVAL_MS, 'last uses could not be written', () => opened.flush());
  every(PROBE_INTERVAL_MS, 'the disk still refuses', async () => {
    if (!health.isWritable) await opened.store.probe();
  });
  if (opened.setAside)
    log.warn({ setAside: opened.setAside }, 'the catalog was damaged: it is made anew from the files');
  opened
    .reconcile(stop)
    .then((report) => log.debug(report, 'catalog and files agree'))
    .then(resume)
    .catch((error: unknown) => {
      if (!stop.aborted) log.warn({ error }, 'catalog and files could not be compared');
    });
}
