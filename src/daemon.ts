/** Owns the making of a running daemon out of a configuration. The only place that constructs. */
import type { Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdminServer, createControlServer } from './admin/admin-server.ts';
import { History } from './admin/history.ts';
import { ImageBrowser } from './admin/image-browser.ts';
import { PageFiles } from './admin/page-files.ts';
import { describeStatus, listImages, type ReloadReport, type Status } from './admin/status.ts';
import { Verifier } from './admin/verifier.ts';
import { makeAirgap } from './airgap/airgap.ts';
import { runBackground } from './background.ts';
import type { Config } from './config/schema.ts';
import { watchGauges, watchPullCounts, watchRests } from './gauges.ts';
import { createRegistryServer, type RegistryServer } from './http/registry-server.ts';
import { addressUrl, drain, type InheritedSockets, isLocal, listenOn, listenOnSocket } from './listeners.ts';
import type { Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import type { Blobs } from './mirror/blobs.ts';
import type { Manifests } from './mirror/manifests.ts';
import { assembleMirror } from './mirror-assembly.ts';
import {
  type DiskHealth,
  noteMisses,
  observeOffline,
  observeRequests,
  observeStore,
  pullCountsOf,
  restsOf,
} from './observers.ts';
import { Reloader } from './reload.ts';
import { type DataDirectory, openDataDirectory } from './store/data-directory.ts';
import type { StorageError } from './store/errors.ts';
import { makeUnattended, type Unattended } from './unattended.ts';
import { OfflineSwitch } from './upstream/offline-switch.ts';
import { Upstreams } from './upstreams.ts';

export interface Daemon {
  /** what is true now */
  status(): Status;
  /**
   * Reads the configuration again and puts it into effect; no connection is ended for it.
   * @throws RefusedError where it cannot be used; then nothing has changed
   */
  reload(): Promise<ReloadReport>;
  /**
   * Stops accepting, lets responses and fills finish within `drainMs`, keeps what is partial, and closes all.
   * @param atOnce aborted: waiting is over
   */
  close(atOnce: AbortSignal): Promise<void>;
}

export interface DaemonOptions {
  /** the clock, ms since the epoch */
  now?: (() => number) | undefined;
  /** reads the sources of the configuration again */
  load?: (() => Config) | undefined;
  /** listeners that are there already */
  inherited?: InheritedSockets | undefined;
}

/** After upstreams are closed, what still runs ends at once; this bounds a fault of our own. */
const SETTLE_DEADLINE_MS = 5_000;

/**
 * Builds and starts a daemon. Upstreams are not contacted: it starts when all of them are down.
 * @throws StartError and what opening the data directory throws; nothing is left behind then
 */
export async function startDaemon(
  config: Config,
  log: Logger,
  version: string,
  { now = Date.now, load = () => config, inherited = {} }: DaemonOptions = {},
): Promise<Daemon> {
  const metrics = new Metrics(version);
  const health: DiskHealth = { isWritable: true, reason: undefined };
  const observer = observeStore(metrics, log, health);
  const opened = await openDataDirectory({ ...config.storage, observer, now });
  const offline = new OfflineSwitch(config.offline, observeOffline(log));
  const parts = assemble({ config, load, log, version, metrics, health, opened, offline, now });
  const { registry, admin, control, stop, reloader } = parts;
  try {
    await listenOn(registry.server, config.listen, 'listen', inherited.listen);
    await listenOn(admin, config.admin, 'admin', inherited.admin);
    await listenOnSocket(control, config.storage.directory, config.control);
  } catch (error) {
    await closeAll(parts, AbortSignal.abort());
    throw error;
  }
  watchStore(metrics, opened, health, offline);
  const background = runBackground({ ...parts, stop: stop.signal });
  return {
    status: parts.status,
    reload: () => reloader.reload(),
    close: async (atOnce) => {
      stop.abort();
      const deadline = AbortSignal.any([atOnce, AbortSignal.timeout(reloader.loaded.http.drainMs)]);
      await closeAll(parts, deadline, background);
    },
  };
}

interface Foundation {
  config: Config;
  load: () => Config;
  log: Logger;
  version: string;
  metrics: Metrics;
  health: DiskHealth;
  opened: DataDirectory;
  now: () => number;
  offline: OfflineSwitch;
}

interface Parts extends Foundation {
  upstreams: Upstreams;
  table: Upstreams['table'];
  reloader: Reloader;
  unattended: Unattended;
  history: History;
  blobs: Blobs;
  manifests: Manifests;
  registry: RegistryServer;
  admin: Server;
  control: Server;
  status: () => Status;
  /** aborted when the daemon begins to stop */
  stop: AbortController;
}

function assemble(foundation: Foundation): Parts {
  const { config, log, version, metrics, health, opened, offline, now } = foundation;
  const upstreams = new Upstreams(config, { metrics, log, offline, now });
  const { table } = upstreams;
  watchRests(metrics.registry, () => restsOf(table.all(), now()));
  watchPullCounts(metrics.registry, () => pullCountsOf(table.all()));
  const stop = new AbortController();
  const mirror = assembleMirror({
    opened,
    upstreams: table,
    isOffline: offline.isOffline,
    now,
    failedBehind: (reference, error) => log.warn({ reference, error }, 'a tag could not be confirmed behind'),
  });
  const airgapParts = { ...opened, ...mirror, upstreams: table, isOffline: offline.isOffline, now };
  const airgap = makeAirgap(airgapParts);
  const unattended = makeUnattended({ ...foundation, parts: airgapParts });
  const { schedules } = unattended;
  const registry = createRegistryServer({
    ...mirror,
    upstreams: table,
    limits: config.http,
    isDraining: () => stop.signal.aborted,
    ended: observeRequests(metrics, log, noteMisses(opened.misses, now)),
  });
  const reloader = new Reloader({ ...foundation, upstreams, registry, schedules, stop: stop.signal });
  const startedAtMs = now();
  const history = watchHour(metrics, opened, now);
  const status = (): Status =>
    describeStatus({
      ...opened,
      version,
      startedAtMs,
      listen: addressUrl(registry.server),
      admin: addressUrl(admin),
      isLocalOnly: isLocal(registry.server),
      directory: config.storage.directory,
      isOffline: offline.isOffline,
      configuration: reloader,
      isWritable: () => health.isWritable,
      totals: metrics.totals,
      schedules: schedules.list(),
      upstreams: table.all(),
      defaultUpstream: config.defaultUpstream,
      now,
    });
  const verifier = new Verifier({ ...opened, upstreams: table, defaultUpstream: config.defaultUpstream });
  const services = {
    metrics: metrics.registry,
    status,
    images: () => listImages(opened),
    browser: new ImageBrowser({ ...opened, now }),
    history,
    page: new PageFiles(),
    names: () => reloader.loaded.adminNames,
    verify: (reference: string | undefined) => verifier.start(reference),
    reload: () => reloader.reload(),
    offline,
    misses: opened.misses,
    airgap,
    notReady: () => reasonsNotReady(stop.signal, opened, health),
    log,
  };
  const admin = createAdminServer(services);
  const control = createControlServer(services);
  const { blobs, manifests } = mirror;
  const served = { blobs, manifests, registry, admin, control };
  return { ...foundation, ...served, upstreams, table, reloader, unattended, history, status, stop };
}

/**
 * From the outside in: clients, then upstreams, then the directory. The directory goes last, when nothing that
 * began before can come back to it.
 */
async function closeAll(parts: Parts, deadline: AbortSignal, background?: Promise<void>): Promise<void> {
  const { registry, manifests, admin, control, opened, upstreams, unattended, stop, log } = parts;
  stop.abort();
  await Promise.all([drain(registry.server, deadline), opened.fills.close(deadline)]);
  await Promise.all([admin, control].map((server) => drain(server, AbortSignal.abort())));
  await upstreams.close();
  const { schedules, follower } = unattended;
  const working = [registry, manifests, schedules, follower].map((one) => one.settled());
  const settled = Promise.all([...working, background]);
  const giveUp = new AbortController();
  const late = wait(SETTLE_DEADLINE_MS, 'late', { signal: giveUp.signal }).catch(() => 'in time');
  if ((await Promise.race([settled, late])) === 'late') {
    log.error('something does not end: the data directory is closed all the same');
  }
  giveUp.abort();
  opened.close();
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

function watchHour({ totals }: Metrics, { store, fills }: DataDirectory, now: () => number): History {
  const running = () => ({ fills: fills.size, readers: fills.readers, usedBytes: store.ledger.usedBytes });
  return new History({ totals, running, now });
}

function watchStore(
  metrics: Metrics,
  { store, fills, misses, pins }: DataDirectory,
  health: DiskHealth,
  offline: OfflineSwitch,
): void {
  watchGauges(metrics.registry, {
    storeBytes: () => store.ledger.usedBytes,
    storeMaxBytes: () => store.ledger.maxBytes,
    storeReservedBytes: () => store.ledger.reservedBytes,
    storeObjects: () => store.objects,
    pinnedBytes: () => pins.bytes,
    pins: () => pins.count,
    storeWritable: () => health.isWritable && !store.ledger.isDiskFull,
    offline: offline.isOffline,
    missesListed: () => misses.lines,
    fillsInFlight: () => fills.size + fills.passages.size,
    fillReaders: () => fills.readers,
    fillIdleS: () => fills.idleMs / 1000,
  });
}
