/** Owns what a daemon could tell a page, made up: for what takes an hour to become so, and for what no daemon says. */
import type { Page } from 'playwright-core';
import type { HistorySample } from '../../src/admin/history.ts';
import type { ImagePage } from '../../src/admin/image-browser.ts';
import type { MissesPage, MissStatus } from '../../src/admin/misses.ts';
import type { ImageStatus, PageStatus } from '../../src/admin/status.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { emptyTotals } from '../../src/totals.ts';
import { makeRandom } from '../helpers/random.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const HOUR_MS = 3600_000;

/** Of a daemon that runs since `uptimeS` and does nothing. @param nowMs ms since the epoch */
export function statusOf(nowMs: number, change: Partial<PageStatus> = {}): PageStatus {
  const uptimeS = change.uptimeS ?? 3600;
  const startedAt = new Date(nowMs - uptimeS * 1000).toISOString();
  return {
    version: '0.1.0',
    pid: 4711,
    startedAt,
    uptimeS,
    listen: 'http://127.0.0.1:5000',
    admin: 'http://127.0.0.1:5001',
    isLocalOnly: true,
    directory: '/var/lib/hubcap',
    isOffline: false,
    configuration: { loadedAt: startedAt, needsRestart: [] },
    store: {
      bytes: 0,
      maxBytes: 50 * GIB,
      reservedBytes: 0,
      objects: 0,
      pins: 0,
      pinnedBytes: 0,
      isWritable: true,
    },
    totals: emptyTotals(),
    misses: 0,
    prewarm: [],
    fills: [],
    upstreams: [upstreamOf('docker.io', { isDefault: true, url: 'https://registry-1.docker.io/' })],
    tellsNames: true,
    ...change,
  };
}

type Upstream = PageStatus['upstreams'][number];

export function upstreamOf(host: string, change: Partial<Upstream> = {}): Upstream {
  const url = change.url ?? `https://${host}/`;
  return {
    host,
    url,
    isDefault: false,
    endpoints: [endpointOf(url)],
    restingUntil: undefined,
    accounts: [],
    ...change,
  };
}

export function endpointOf(
  url: string,
  change: Partial<Upstream['endpoints'][number]> = {},
): Upstream['endpoints'][number] {
  return { url, state: 'up', reason: undefined, message: undefined, isInsecure: false, ...change };
}

export function accountOf(
  account: string,
  change: Partial<Upstream['accounts'][number]> = {},
): Upstream['accounts'][number] {
  return {
    account,
    limit: 200,
    remaining: 163,
    windowS: 21_600,
    source: undefined,
    restingUntil: undefined,
    rejectedUntil: undefined,
    ...change,
  };
}

/** An hour of a busy office, every ten seconds up to `endMs`; the last one has all of it. */
export function busyHour(endMs: number, isStaleAtEnd = false): HistorySample[] {
  const random = makeRandom(7);
  const samples: HistorySample[] = [];
  let last: HistorySample = {
    atMs: endMs - HOUR_MS,
    hits: 182_340,
    fetched: 4_120,
    stale: 12,
    failed: 3,
    storeBytes: 1.9e12,
    fillBytes: 6.1e10,
    bypassBytes: 2e9,
    fetchedBytes: 1.2e11,
    fills: 0,
    readers: 0,
    usedBytes: 38.2 * GIB,
  };
  for (let i = 0; i <= 360; i++) {
    const wave = 1 + Math.sin(i / 37) * 0.6 + (i > 200 && i < 236 ? 2.2 : 0);
    const fills = Math.max(0, Math.round(wave * 1.4 + random.between(-2, 2)));
    const fetchedBytes = fills * random.between(6, 40) * MIB;
    const hits = Math.round(wave * random.between(8, 22));
    const isStale = isStaleAtEnd && i > 300;
    last = {
      atMs: endMs - HOUR_MS + i * 10_000,
      hits: last.hits + hits,
      fetched: last.fetched + (isStale ? 0 : random.between(0, fills)),
      stale: last.stale + (isStale ? Math.round(hits * 0.8) : 0),
      failed: last.failed + (isStale ? random.between(0, 2) : random.between(0, 40) === 0 ? 1 : 0),
      storeBytes: last.storeBytes + hits * random.between(2, 14) * MIB,
      fillBytes: last.fillBytes + (isStale ? 0 : fetchedBytes * 1.6),
      bypassBytes: last.bypassBytes + (i === 120 ? 900 * MIB : 0),
      fetchedBytes: last.fetchedBytes + (isStale ? 0 : fetchedBytes),
      fills: isStale ? 0 : fills,
      readers: isStale ? 0 : fills * random.between(1, 4),
      usedBytes: last.usedBytes + (isStale ? 0 : fetchedBytes / 8),
    };
    samples.push(last);
  }
  return samples;
}

/** A status whose counts are those of the sample. */
export function statusAt(sample: HistorySample, change: Partial<PageStatus> = {}): PageStatus {
  const { hits, fetched, stale, failed, storeBytes, fillBytes, bypassBytes, fetchedBytes, usedBytes, atMs } =
    sample;
  const totals = emptyTotals();
  Object.assign(totals.requests, { hit: hits - stale, stale, miss: fetched, error: failed });
  Object.assign(totals.servedBytes, { store: storeBytes, fill: fillBytes, bypass: bypassBytes });
  const status = statusOf(atMs, { uptimeS: 777_600, ...change });
  const store = { ...status.store, bytes: usedBytes, objects: 8_214, pins: 12, pinnedBytes: 2.6 * GIB };
  return { ...status, totals: { ...totals, fetchedBytes }, store: change.store ?? store };
}

/** @param platforms with how much of each is here, 0 to 1 */
export function imageOf(
  reference: string,
  bytes: number,
  usedMs: number,
  platforms: Record<string, number> = { '': 1 },
  isPinned = false,
): ImageStatus {
  const parts = Object.entries(platforms).map(([platform, share]) => ({
    platform: platform === '' ? undefined : platform,
    digest: digestOf(Buffer.from(`${reference} ${platform}`)),
    isComplete: share === 1,
    storedBytes: Math.round(bytes * share),
    knownBytes: bytes,
  }));
  return {
    reference,
    digest: digestOf(Buffer.from(reference)),
    mediaType: 'application/vnd.oci.image.index.v1+json',
    checkedAt: new Date(usedMs).toISOString(),
    state: parts.every(({ isComplete }) => isComplete) ? 'complete' : 'partial',
    storedBytes: parts.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    lastUsedAt: new Date(usedMs).toISOString(),
    isPinned,
    platforms: parts,
  };
}

export function missOf(reference: string, nowMs: number, change: Partial<MissStatus> = {}): MissStatus {
  const at = new Date(nowMs).toISOString();
  return {
    reference,
    kind: 'image',
    platform: undefined,
    reason: 'unavailable',
    cause: 'refused',
    count: 1,
    firstAt: at,
    lastAt: at,
    ...change,
  };
}

export interface Told {
  status: PageStatus;
  samples?: HistorySample[];
  images?: ImagePage;
  misses?: MissesPage;
  notReady?: string[];
}

/** Answers in place of the daemon, with what `told` is when it is asked. */
export async function tell(page: Page, told: () => Told): Promise<void> {
  const none = {
    images: { isCounted: true, total: 0, matching: 0, isTruncated: false, images: [] },
    misses: { total: 0, misses: [] },
  };
  const answers: Record<string, () => unknown> = {
    status: () => told().status,
    history: () => ({ intervalMs: 10_000, samples: told().samples ?? [] }),
    images: () => told().images ?? none.images,
    misses: () => told().misses ?? none.misses,
    ready: () => ({ reasons: told().notReady ?? [] }),
  };
  for (const [path, answer] of Object.entries(answers))
    await page.route(`**/api/${path}*`, (route) => route.fulfill({ json: answer() }));
}
