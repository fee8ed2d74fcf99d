/** Owns one life of a hubcap of the model: from its start on a data directory to its end, in order or not. */
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { upstreamDefaults } from '../../../src/config/presets.ts';
import { createRegistryServer } from '../../../src/http/registry-server.ts';
import { addressUrl, drain, listenOn } from '../../../src/listeners.ts';
import { Blobs } from '../../../src/mirror/blobs.ts';
import type { Listings } from '../../../src/mirror/listings.ts';
import type { Manifests } from '../../../src/mirror/manifests.ts';
import { UpstreamTable } from '../../../src/mirror/mirrored-upstream.ts';
import { Permission } from '../../../src/mirror/permission.ts';
import { resumePartials } from '../../../src/mirror/resume-partials.ts';
import { Visibility } from '../../../src/mirror/visibility.ts';
import { type DataDirectory, openDataDirectory } from '../../../src/store/data-directory.ts';
import { OfflineSwitch } from '../../../src/upstream/offline-switch.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { diskError, watchDisk } from '../disk-calls.ts';
import { makeGate, until } from '../waiting.ts';

export interface Life {
  readonly url: string;
  readonly opened: DataDirectory;
  /** all that background work does has been done */
  readonly background: Promise<void>;
  /** Ends in order: what runs is kept for the next life. */
  close(): Promise<void>;
  /** Ends at this instant, as kill -9 does; `directory` gets what is on disk then. */
  crash(directory: string): Promise<void>;
}

export interface LifeOptions {
  directory: string;
  upstream: URL;
  maxBytes: number;
  /** a first life finds nothing to compare or to go on with: looking for it would cost most of a run's time */
  isFirst: boolean;
  /** runs after each call that changes the disk, when what follows at once from it has happened */
  changed: () => void;
}

const HOST = 'registry.test';
/** Nothing that failed is left alone: stories of their own tell of that, and here each refusal needs a reason of its own. */
const TIMEOUTS = { connectMs: 2_000, headersMs: 250, idleMs: 250, stallMs: 600, probeMs: 0 };
const LIMITS = { headerTimeoutMs: 10_000, idleTimeoutMs: 10_000, keepAliveMs: 5_000, maxConnections: 1024 };
const none = (): void => undefined;

/** The daemon's parts without its listeners for people: a thousand of them live in one process. */
export async function beginLife({
  directory,
  upstream,
  maxBytes,
  isFirst,
  changed,
}: LifeOptions): Promise<Life> {
  const disk = watchLife(directory, changed);
  const observer = {
    removed: none,
    found: none,
    fillEnded: none,
    discarded: none,
    storageFailed: none,
    storageWorks: none,
  };
  const now = Date.now;
  const opened = await openDataDirectory({ directory, maxBytes, minFreeBytes: 0, observer, now });
  const { store, fills, catalog } = opened;
  const client = makeUpstream(upstream);
  const entry = { ...upstreamDefaults, host: HOST, client, notFoundTtlMs: 0, confirmMs: 250 };
  const table = new UpstreamTable([entry], HOST);
  const isOffline = (): boolean => false;
  const visibility = new Visibility({ catalog, isOffline, now });
  const permission = new Permission({ catalog, visibility, isOffline, now });
  const blobs = new Blobs({ store, fills, permission, visibility, isOffline, now });
  const registry = createRegistryServer({
    // Nobody asks for them here, and their caches take longer to make than all the rest.
    manifests: {} as Manifests,
    listings: {} as Listings,
    blobs,
    upstreams: table,
    limits: LIMITS,
    isDraining: () => false,
    ended: none,
  });
  await listenOn(registry.server, { host: '127.0.0.1', port: 0 }, 'listen');
  const stop = new AbortController();
  const background = isFirst ? Promise.resolve() : goOn({ opened, table, blobs }, stop.signal);
  background.catch(() => undefined); // whoever settles is told
  const close = async (): Promise<void> => {
    stop.abort();
    await Promise.all([drain(registry.server, AbortSignal.abort()), fills.close(AbortSignal.abort())]);
    await client.close();
    await Promise.allSettled([registry.settled(), background]);
    opened.close();
    disk.end();
  };
  const crash = async (target: string): Promise<void> => {
    await disk.freeze();
    copyDirectory(directory, target);
    const closing = close();
    disk.fail();
    await closing;
  };
  return { url: addressUrl(registry.server) ?? '', opened, background, close, crash };
}

/** What a daemon does beside serving, without its timers. */
async function goOn(
  { opened, table, blobs }: { opened: DataDirectory; table: UpstreamTable; blobs: Blobs },
  stop: AbortSignal,
): Promise<void> {
  try {
    await opened.reconcile(stop);
    await resumePartials(opened.partials, table, blobs, stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

function makeUpstream(url: URL): Upstream {
  const observer = {
    answered: none,
    received: none,
    token: none,
    resumed: none,
    failed: none,
    endpoint: none,
    rejected: none,
  };
  const options = { ...upstreamDefaults, host: HOST, url, retries: 1, proxy: {}, observer, now: Date.now };
  const offline = new OfflineSwitch(false);
  return new Upstream({ ...options, offline, timeouts: { ...upstreamDefaults.timeouts, ...TIMEOUTS } });
}

/** A disk that can stop between two calls: what is done is done, and nothing more is. */
function watchLife(directory: string, changed: () => void) {
  const gate = makeGate();
  let isFrozen = false;
  const running = new Set<object>();
  const end = watchDisk(directory, {
    before: async (call) => {
      if (isFrozen && call.operation !== 'close') {
        await gate.opened;
        throw diskError('EIO', call);
      }
      running.add(call);
    },
    after: (call) => {
      if (call.isWriting) setImmediate(changed);
    },
    ended: (call) => running.delete(call),
  });
  const freeze = async (): Promise<void> => {
    isFrozen = true;
    await until('the calls that run have ended', () => running.size === 0);
  };
  return { end, freeze, fail: gate.open };
}

/** In one go: nothing else of this process runs meanwhile. */
export function copyDirectory(from: string, to: string): void {
  mkdirSync(join(to, 'v1'), { recursive: true });
  for (const name of ['blobs', 'fills', 'catalog.db', 'catalog.db-wal', 'aside']) {
    const path = join(from, 'v1', name);
    if (existsSync(path)) cpSync(path, join(to, 'v1', name), { recursive: true, preserveTimestamps: true });
  }
}
