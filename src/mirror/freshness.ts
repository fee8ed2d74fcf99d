/** Owns the decision whether what is known about a tag may be served. Pure. */
import type { TagState } from '../store/catalog.ts';

/** What is known about a tag; `askAgainAtMs` is set when upstream could not say. */
export interface KnownTag extends TagState {
  askAgainAtMs?: number;
}

export type TagDecision =
  /** upstream said so less than its time to live ago */
  | 'fresh'
  /** upstream was just asked and could not say: it is not asked again yet */
  | 'stale'
  /** to be confirmed by upstream */
  | 'confirm'
  | 'unknown';

/**
 * @param known what is known, undefined where nothing is
 * @param ttlMs how long upstream's word holds
 * @param isOffline upstream is never asked
 */
export function decideTag(
  known: KnownTag | undefined,
  nowMs: number,
  ttlMs: number,
  isOffline: boolean,
): TagDecision {
  if (!known) return 'unknown';
  const ageMs = nowMs - known.checkedAtMs;
  if (ageMs >= 0 && ageMs < ttlMs) return 'fresh';
  if (isOffline) return 'stale';
  return known.askAgainAtMs !== undefined && nowMs < known.askAgainAtMs ? 'stale' : 'confirm';
}
