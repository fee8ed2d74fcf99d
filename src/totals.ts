/** Owns what was counted since the start, as plain numbers: for the status, the page and the last hour. Pure but for counting. */
import type { Outcome } from './outcome.ts';

/** Where content that a client was given came from. */
export const SOURCES = ['store', 'fill', 'bypass'] as const;
export type Source = (typeof SOURCES)[number];

/** Since the start of the daemon. */
export interface Totals {
  /** requests for manifests and blobs */
  requests: Record<Outcome, number>;
  /** bytes of content given to clients */
  servedBytes: Record<Source, number>;
  /** bytes of content received from upstreams, whoever they were for */
  fetchedBytes: number;
}

/** @returns totals of which nothing is counted yet */
export function emptyTotals(): Totals {
  return {
    requests: {
      hit: 0,
      coalesced: 0,
      revalidated: 0,
      stale: 0,
      miss: 0,
      bypass: 0,
      absent: 0,
      denied: 0,
      error: 0,
    },
    servedBytes: { store: 0, fill: 0, bypass: 0 },
    fetchedBytes: 0,
  };
}

/** Answered without fetching the content for it. */
const HITS: readonly Outcome[] = ['hit', 'coalesced', 'revalidated', 'stale'];
const FETCHED: readonly Outcome[] = ['miss', 'bypass'];

/** How many requests were given what they asked for: without fetching it, and by fetching it. */
export function givenOf({ requests }: Pick<Totals, 'requests'>): { hits: number; fetched: number } {
  const sum = (outcomes: readonly Outcome[]): number =>
    outcomes.reduce((total, outcome) => total + requests[outcome], 0);
  return { hits: sum(HITS), fetched: sum(FETCHED) };
}

/** @returns the totals as one sample of the last hour has them: the daemon's and the page's own mean the same */
export function sampledCounts(totals: Totals) {
  const { requests, servedBytes, fetchedBytes } = totals;
  return {
    ...givenOf(totals),
    stale: requests.stale,
    failed: requests.error + requests.denied,
    storeBytes: servedBytes.store,
    fillBytes: servedBytes.fill,
    bypassBytes: servedBytes.bypass,
    fetchedBytes,
  };
}

/** @returns of all requests that were given what they asked for, the share (0 to 1) for which nothing was fetched */
export function hitRateOf(totals: Pick<Totals, 'requests'>): number | undefined {
  const { hits, fetched } = givenOf(totals);
  return hits + fetched === 0 ? undefined : hits / (hits + fetched);
}

/** @returns bytes given to clients */
export function servedBytesOf({ servedBytes }: Pick<Totals, 'servedBytes'>): number {
  return servedBytes.store + servedBytes.fill + servedBytes.bypass;
}

/** @returns bytes that clients were given and that did not have to be fetched for it; 0 where more was fetched than given */
export function savedBytesOf(totals: Pick<Totals, 'servedBytes' | 'fetchedBytes'>): number {
  return Math.max(0, servedBytesOf(totals) - totals.fetchedBytes);
}
