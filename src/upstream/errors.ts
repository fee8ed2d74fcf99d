/** Owns the ways in which an upstream can fail to say, each with a name that logs and metrics use. */
import type { LimitKind } from './rate-limit.ts';

export const FAILURE_REASONS = [
  'dns',
  'refused',
  'tls',
  'reset',
  'timeout',
  'server-error',
  'throttled',
  'denied',
  'untrusted-realm',
  'token',
  'bad-answer',
  'html',
  'redirect',
  'offline',
  'stopped',
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

export interface UpstreamErrorFacts {
  reason: FailureReason;
  /** the host that failed: the registry, its token server or its CDN */
  host: string;
  /** its HTTP status, where it answered */
  status?: number;
  /** when asking again makes sense, where that is known */
  retryAfterMs?: number;
  /** nobody was asked now: it is what an endpoint that is left alone failed at before */
  isFromMemory?: boolean;
  /** which limit `throttled` is about */
  limit?: LimitKind;
  cause?: unknown;
}

/** Upstream did not say yes or no. Holds no credential, no token, no query of a URL. */
export class UpstreamError extends Error {
  readonly reason: FailureReason;
  readonly host: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly isFromMemory: boolean;
  readonly limit: LimitKind | undefined;

  constructor(message: string, facts: UpstreamErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'UpstreamError';
    this.reason = facts.reason;
    this.host = facts.host;
    this.status = facts.status;
    this.retryAfterMs = facts.retryAfterMs;
    this.isFromMemory = facts.isFromMemory ?? false;
    this.limit = facts.limit;
  }

  /** whether the same question may get another answer at once */
  get isTransient(): boolean {
    // What a registry or token server refuses with a 4xx it refuses again; a CDN's may be an address that expired.
    const isAnswer = this.reason === 'bad-answer' || this.reason === 'token';
    const isRefusal = isAnswer && this.status !== undefined && (this.status < 500 || this.status === 501);
    return TRANSIENT.has(this.reason) && !isRefusal && !this.isFromMemory;
  }
}

const TRANSIENT: ReadonlySet<FailureReason> = new Set([
  'dns',
  'refused',
  'reset',
  'timeout',
  'server-error',
  'token',
  'bad-answer',
  'html',
  'redirect',
]);

/** Names what undici, the resolver, the socket or TLS threw. @param host who was asked */
export function transportFailure(host: string, error: unknown): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const code = codeOf(error);
  const reason = reasonOf(code, error);
  return new UpstreamError(`${host}: ${MESSAGES[reason] ?? 'failed'}${code ? ` (${code})` : ''}`, {
    reason,
    host,
    cause: error,
  });
}

const MESSAGES: Partial<Record<FailureReason, string>> = {
  dns: 'its name cannot be resolved',
  refused: 'it cannot be reached',
  tls: 'its certificate or TLS version is not accepted',
  reset: 'the connection broke',
  timeout: 'it did not answer in time',
  stopped: 'hubcap is stopping',
};

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? undefined : codeOf(error.cause);
}

function reasonOf(code: string | undefined, error: unknown): FailureReason {
  if (error instanceof Error && error.name === 'TimeoutError') return 'timeout';
  if (code === undefined) return 'reset';
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return 'stopped';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  if (/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/.test(code)) return 'refused';
  if (/TIMEOUT|^ETIMEDOUT$/.test(code)) return 'timeout';
  if (/CERT|TLS|SSL|SIGNATURE|ISSUER/.test(code)) return 'tls';
  return 'reset';
}
