/** Owns the last hour as it is drawn: samples to minutes, and the figures of the whole hour. Pure. */
import type { HistorySample } from '../src/admin/history.ts';
import type { PageStatus } from '../src/admin/status.ts';
import { hitRateOf, sampledCounts, savedBytesOf, servedBytesOf, type Totals } from '../src/totals.ts';

export const MINUTE_MS = 60_000;
export const MINUTES = 60;

/** What is counted: all fields but the time and what was so at that moment. */
const COUNTS = [
  'hits',
  'stale',
  'fetched',
  'failed',
  'storeBytes',
  'fillBytes',
  'bypassBytes',
  'fetchedBytes',
] as const;

type Counts = Record<(typeof COUNTS)[number], number>;

/** One minute of the hour. */
export interface Minute extends Counts {
  startMs: number;
  /** of it, how much is known: 0 before the daemon started */
  knownMs: number;
  /** the most that ran at a time */
  fills: number;
  readers: number;
}

/** @returns the status as one more sample: what is drawn ends now, not up to ten seconds ago */
export function sampleOf(status: PageStatus): HistorySample | undefined {
  const { totals, fills, store } = status;
  if (!totals) return undefined;
  return {
    atMs: daemonNowMs(status),
    ...sampledCounts(totals),
    fills: fills.length,
    readers: fills.reduce((sum, { readers }) => sum + readers, 0),
    usedBytes: store.bytes,
  };
}

/** @returns the time by the clock of the daemon, ms since the epoch: the browser's may be wrong */
export function daemonNowMs({ startedAt, uptimeS }: Pick<PageStatus, 'startedAt' | 'uptimeS'>): number {
  return Date.parse(startedAt) + uptimeS * 1000;
}

/** @returns the known samples and the newer ones, no older than an hour before the newest */
export function joinSamples(
  known: readonly HistorySample[],
  newer: readonly HistorySample[],
): HistorySample[] {
  const lastMs = known.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
  const joined = [...known, ...newer.filter(({ atMs }) => atMs > lastMs)];
  const endMs = joined.at(-1)?.atMs ?? 0;
  return joined.filter(({ atMs }) => endMs - atMs <= (MINUTES + 1) * MINUTE_MS);
}

/** @returns sixty minutes of the clock, the oldest first; the last one holds `nowMs` */
export function minutesOf(samples: readonly HistorySample[], nowMs: number): Minute[] {
  const endMs = (Math.floor(nowMs / MINUTE_MS) + 1) * MINUTE_MS;
  const beginMs = endMs - MINUTES * MINUTE_MS;
  const minutes = Array.from({ length: MINUTES }, (_, i) => emptyMinute(beginMs + i * MINUTE_MS));
  for (const { atMs, fills, readers } of samples) {
    const minute = minutes[Math.floor((atMs - beginMs) / MINUTE_MS)];
    if (!minute) continue;
    minute.fills = Math.max(minute.fills, fills);
    minute.readers = Math.max(minute.readers, readers);
  }
  samples.forEach((to, i) => {
    const from = samples[i - 1];
    if (from) spread(minutes, beginMs, from, to);
  });
  return minutes;
}

/**
 * What was counted between two samples belongs to the minute of the later one, so that requests stay whole; where
 * they are more than a minute apart, to all minutes between them.
 */
function spread(minutes: readonly Minute[], beginMs: number, from: HistorySample, to: HistorySample): void {
  const spanMs = to.atMs - from.atMs;
  if (spanMs <= 0 || COUNTS.some((count) => to[count] < from[count])) return; // it was started again between them
  const last = Math.floor((to.atMs - beginMs) / MINUTE_MS);
  const first = spanMs <= MINUTE_MS ? last : Math.floor((from.atMs - beginMs) / MINUTE_MS);
  const share = 1 / (last - first + 1);
  for (let i = Math.max(0, first); i <= last; i++) {
    const minute = minutes[i];
    if (!minute) continue;
    minute.knownMs += spanMs * share;
    for (const count of COUNTS) minute[count] += (to[count] - from[count]) * share;
  }
}

function emptyMinute(startMs: number): Minute {
  return { startMs, knownMs: 0, fills: 0, readers: 0, ...emptyCounts() };
}

function emptyCounts(): Counts {
  return {
    hits: 0,
    stale: 0,
    fetched: 0,
    failed: 0,
    storeBytes: 0,
    fillBytes: 0,
    bypassBytes: 0,
    fetchedBytes: 0,
  };
}

/** @returns the counts of all of these minutes together */
export function sumOf(minutes: readonly Minute[]): Counts {
  const sum = emptyCounts();
  for (const minute of minutes) for (const count of COUNTS) sum[count] += minute[count];
  return sum;
}

/** @returns 0 to 1; undefined where nobody was given anything */
export function hitRateIn({ hits, fetched }: Pick<Counts, 'hits' | 'fetched'>): number | undefined {
  return hits + fetched === 0 ? undefined : hits / (hits + fetched);
}

export function servedIn({ storeBytes, fillBytes, bypassBytes }: Counts): number {
  return storeBytes + fillBytes + bypassBytes;
}

/** What the figures at the top say. */
export interface Figures {
  hitRate: number | undefined;
  servedBytes: number;
  storeBytes: number;
  savedBytes: number;
  fetchedBytes: number;
  /** bytes saved of those served, 0 to 1 */
  savedShare: number | undefined;
}

/** @param totals since the start; the same words and rules as the daemon's */
export function figuresOf(totals: Totals): Figures {
  const servedBytes = servedBytesOf(totals);
  const savedBytes = savedBytesOf(totals);
  return {
    hitRate: hitRateOf(totals),
    servedBytes,
    storeBytes: totals.servedBytes.store,
    savedBytes,
    fetchedBytes: totals.fetchedBytes,
    savedShare: servedBytes === 0 ? undefined : savedBytes / servedBytes,
  };
}
