/** Owns what an upstream's failure means to a client. Trouble is never reported as absence (design, rule 8). */
import {
  denied,
  isOfflineUnknown,
  type OfflineCode,
  offlineUnknown,
  RegistryError,
  tooManyRequests,
  unavailable,
} from '../oci/registry-error.ts';
import { isWrongContent, StoreClosingError } from '../store/errors.ts';
import { UpstreamError } from '../upstream/errors.ts';

const RETRY_SOON_S = 5;

/**
 * @param reference what the client asked for, for the message
 * @param code what stands in the offline answer
 * @returns the error to answer with; `error` itself where it is no upstream's failure
 */
export function toRegistryError(
  reference: string,
  error: unknown,
  code: OfflineCode = 'MANIFEST_UNKNOWN',
): unknown {
  if (error instanceof StoreClosingError) {
    return unavailable(`${reference}: hubcap is stopping; ask again`, 503, RETRY_SOON_S, error);
  }
  if (isWrongContent(error)) {
    return unavailable(
      `${reference}: upstream sends other content under this digest`,
      502,
      RETRY_SOON_S,
      error,
    );
  }
  if (!(error instanceof UpstreamError)) return error;
  const { message, host, reason } = error;
  const afterS = error.retryAfterMs === undefined ? RETRY_SOON_S : Math.ceil(error.retryAfterMs / 1000);
  const cannot = (status: 502 | 503 | 504, advice = 'ask again'): RegistryError =>
    unavailable(`${reference}: ${message}; ${advice}`, status, afterS, error, { upstream: host, reason });
  switch (reason) {
    case 'offline':
      return offlineUnknown(reference, code, error);
    case 'denied':
      return denied(reference, error);
    case 'throttled':
      return tooManyRequests(
        error.host,
        Math.ceil((error.retryAfterMs ?? 60_000) / 1000),
        error,
        error.limit,
      );
    case 'timeout':
      return cannot(504);
    case 'dns':
    case 'refused':
    case 'reset':
    case 'stopped':
      return cannot(503);
    case 'tls':
      return cannot(502, "check this upstream's `url` and `tls.ca` in hubcap's configuration");
    case 'server-error':
    case 'untrusted-realm':
    case 'token':
    case 'bad-answer':
    case 'html':
    case 'redirect':
      return cannot(502);
  }
}

/** @returns whether upstream could not say, so that what is known may be served stale */
export function cannotSay(error: unknown): boolean {
  return (
    (error instanceof UpstreamError && error.reason !== 'denied') ||
    (error instanceof RegistryError && (error.status >= 429 || isOfflineUnknown(error)))
  );
}

/** @returns the status that upstream answered with when it failed, where it answered */
export function upstreamStatusOf(error: unknown): number | undefined {
  if (error instanceof UpstreamError) return error.status;
  return error instanceof RegistryError ? upstreamStatusOf(error.cause) : undefined;
}
