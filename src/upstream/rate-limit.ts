/** Owns what upstream says about its limits: the headers, which limit a 429 is about, and until when. Pure. */

export interface RateLimit {
  /** pulls in a window, as upstream counts */
  limit: number | undefined;
  remaining: number | undefined;
  /** length of the window */
  windowS: number | undefined;
  /** whom upstream counts: an address, or the id of an account */
  source: string | undefined;
}

/** `pulls`: of an account, manifests by GET alone; `requests`: of an address, whoever asks, and for whatever. */
export type LimitKind = 'pulls' | 'requests';

type Headers = (name: string) => string | undefined;

/**
 * Reads `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 20;w=21600`, `docker-ratelimit-source: …` (facts,
 * "Headers").
 * @returns undefined where the answer was not counted
 */
export function parseRateLimit(header: Headers): RateLimit | undefined {
  const limit = parsePolicy(header('ratelimit-limit'));
  const remaining = parsePolicy(header('ratelimit-remaining'));
  if (!limit && !remaining) return undefined;
  return {
    limit: limit?.count,
    remaining: remaining?.count,
    windowS: remaining?.windowS ?? limit?.windowS,
    source: header('docker-ratelimit-source')?.trim().slice(0, MAX_SOURCE_LENGTH) || undefined,
  };
}

const MAX_SOURCE_LENGTH = 64;
/** Bounds what an upstream can talk hubcap into. */
export const MAX_REST_MS = 6 * 3600 * 1000;

/**
 * Reads `Retry-After` (RFC 9110 §10.2.3), seconds or a date.
 * @returns ms from now, undefined where there is no usable value
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 1000), MAX_REST_MS) : undefined;
}

/** A 429, as far as it says which limit was met. */
export interface Refusal {
  isPull: boolean;
  rateLimit: RateLimit | undefined;
  /** its beginning, where it was read */
  body: string | undefined;
}

/**
 * Docker Hub gives both limits the status 429 and the OCI code. The one on the requests of an address says
 * "Too Many Requests (HAP429)" or nothing at all [hub-feedback#1907]: its text is the only sign that there is.
 * Where nothing tells, it is about everything: asking on would make it worse, and another account does not help.
 */
export function limitOf({ isPull, rateLimit, body = '' }: Refusal): LimitKind {
  if (!isPull || /\(HAP\d+\)/.test(body)) return 'requests';
  return rateLimit?.remaining === 0 || hasCode(body, 'TOOMANYREQUESTS') ? 'pulls' : 'requests';
}

/** @returns ms until pulls make sense again, undefined where upstream does not say: its window is the latest time */
export function pullsRestMs(
  retryAfterMs: number | undefined,
  windowS: number | undefined,
): number | undefined {
  if (retryAfterMs !== undefined || windowS === undefined) return retryAfterMs;
  return Math.min(Math.max(windowS, 1) * 1000, MAX_REST_MS);
}

/** distribution-spec, "Error Codes" */
function hasCode(body: string, code: string): boolean {
  try {
    const { errors }: { errors?: unknown } = Object(JSON.parse(body));
    return Array.isArray(errors) && errors.some((error: unknown) => Object(error).code === code);
  } catch {
    return false; // what is no JSON is no error of the specification
  }
}

function parsePolicy(value: string | undefined): { count: number; windowS: number | undefined } | undefined {
  const match = value?.match(/^\s*(\d{1,12})\s*(?:;\s*w=(\d{1,9}))?/);
  if (!match) return undefined;
  return { count: Number(match[1]), windowS: match[2] === undefined ? undefined : Number(match[2]) };
}
