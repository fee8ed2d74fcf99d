/** Owns the words for how a request was answered, and their form in `Cache-Status` (RFC 9211). */

export const OUTCOMES = [
  'hit',
  'coalesced',
  'miss',
  'revalidated',
  'stale',
  'bypass',
  'absent',
  'denied',
  'error',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Why something is served that upstream has not confirmed: it could not say, or no longer has it. */
export type Doubt = 'unconfirmed' | 'kept';

/** What the outcome of a request is counted under. */
export type RequestKind = 'manifest' | 'blob' | 'tags' | 'referrers' | 'catalog' | 'base' | 'other';

const CACHE_STATUS: Record<Outcome, string> = {
  hit: 'hubcap; hit',
  coalesced: 'hubcap; fwd=miss; collapsed',
  miss: 'hubcap; fwd=miss; stored',
  revalidated: 'hubcap; hit; detail=revalidated',
  stale: 'hubcap; fwd=stale',
  bypass: 'hubcap; fwd=bypass',
  absent: 'hubcap; fwd=miss; fwd-status=404',
  denied: 'hubcap; fwd=miss; fwd-status=403',
  error: 'hubcap; fwd=miss; detail=error',
};

/**
 * @param upstreamStatus what upstream answered, where it did and that matters (a stale answer)
 * @param overdueMs how long the time of a hit is over, where upstream is asked behind
 * @returns the value of `Cache-Status`
 */
export function cacheStatus(outcome: Outcome, upstreamStatus?: number, overdueMs?: number): string {
  const value = CACHE_STATUS[outcome];
  if (outcome === 'hit' && overdueMs !== undefined) {
    return `${value}; ttl=${-Math.ceil(overdueMs / 1000)}; detail=revalidating`;
  }
  return outcome === 'stale' && upstreamStatus !== undefined
    ? `${value}; fwd-status=${upstreamStatus}`
    : value;
}

/**
 * @param detail why, in one word
 * @returns the value of `Cache-Status` for what a client is not given
 */
export function refusalStatus(outcome: Outcome, detail: string): string {
  if (detail === 'offline') return 'hubcap; detail=offline'; // nothing went forward
  return outcome === 'error' ? `hubcap; fwd=miss; detail=${detail}` : CACHE_STATUS[outcome];
}
