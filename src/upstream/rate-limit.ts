/** Owns what upstream says about its limits: the headers, and the time until which asking is useless. */

export interface RateLimit {
  /** requests in a window, as upstream counts */
  limit: number | undefined;
  remaining: number | undefined;
  /** length of the window */
  windowS: number | undefined;
}

/**
 * Reads `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 20;w=21600` (facts, "Headers").
 * @returns undefined where the answer was not counted
 */
export function parseRateLimit(header: (name: string) => string | undefined): RateLimit | undefined {
  const limit = parsePolicy(header('ratelimit-limit'));
  const remaining = parsePolicy(header('ratelimit-remaining'));
  if (!limit && !remaining) return undefined;
  return { limit: limit?.count, remaining: remaining?.count, windowS: remaining?.windowS ?? limit?.windowS };
}

/** Bounds what an upstream can talk hubcap into. */
const MAX_RETRY_AFTER_MS = 6 * 3600 * 1000;
const DEFAULT_RETRY_AFTER_MS = 60_000;

/**
 * Reads `Retry-After` (RFC 9110 §10.2.3), seconds or a date.
 * @returns ms from now; a minute where there is no usable value
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number {
  if (value === undefined) return DEFAULT_RETRY_AFTER_MS;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 1000), MAX_RETRY_AFTER_MS) : DEFAULT_RETRY_AFTER_MS;
}

function parsePolicy(value: string | undefined): { count: number; windowS: number | undefined } | undefined {
  const match = value?.match(/^\s*(\d{1,12})\s*(?:;\s*w=(\d{1,9}))?/);
  if (!match) return undefined;
  return { count: Number(match[1]), windowS: match[2] === undefined ? undefined : Number(match[2]) };
}
