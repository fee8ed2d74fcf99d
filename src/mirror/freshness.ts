/** Owns the decision whether what is known about a tag may be served. Pure. */
import type { Doubt } from '../outcome.ts';
import type { TagState } from '../store/catalog.ts';

/** What is known about a tag. */
export interface KnownTag extends TagState {
  /** upstream was asked in vain: what is said of the tag until when, instead of asking again */
  pause?: { as: Doubt; untilMs: number };
  /** confirming it behind has failed in a way that clients must be told of: the next one waits for upstream's word */
  isContested?: boolean;
}

export type TagDecision =
  /** upstream said so less than its time to live ago */
  | 'fresh'
  /** fresh, and soon not any more: to be confirmed behind */
  | 'ahead'
  /** not fresh any more, and served all the same while it is confirmed behind */
  | 'behind'
  /** upstream was just asked in vain, or is never asked: it is not asked now */
  | 'stale'
  /** to be confirmed by upstream first */
  | 'confirm'
  | 'unknown';

export interface TagTimes {
  staleWhileRevalidateMs: number;
  refreshAhead: boolean;
}

/** A tag is confirmed ahead when less than this part of its time is left. */
const AHEAD_SHARE = 0.2;

/**
 * @param known what is known, undefined where nothing is
 * @param ttlMs how long upstream's word holds
 * @param isOffline upstream is never asked
 */
export function decideTag(
  known: KnownTag | undefined,
  nowMs: number,
  ttlMs: number,
  { staleWhileRevalidateMs, refreshAhead }: TagTimes,
  isOffline: boolean,
): TagDecision {
  if (!known) return 'unknown';
  const { checkedAtMs, pause, isContested } = known;
  const isQuiet = isOffline || (pause !== undefined && nowMs < pause.untilMs);
  const isMute = isQuiet || isContested === true;
  if (isWithin(ttlMs, checkedAtMs, nowMs)) {
    const isAhead = refreshAhead && !isMute && !isWithin(ttlMs * (1 - AHEAD_SHARE), checkedAtMs, nowMs);
    return isAhead ? 'ahead' : 'fresh';
  }
  if (isQuiet) return 'stale';
  const isBehind = !isMute && isWithin(ttlMs + staleWhileRevalidateMs, checkedAtMs, nowMs);
  return isBehind ? 'behind' : 'confirm';
}

/** @returns whether less than `spanMs` has passed since `atMs`. A clock that was set back makes no answer last longer */
export function isWithin(spanMs: number, atMs: number, nowMs: number): boolean {
  return nowMs >= atMs && nowMs - atMs < spanMs;
}
