/** Owns why somebody who asked for an image was not given it, in the words of metric, log and miss list. Pure. */
import { isOfflineUnknown, type RegistryError } from '../oci/registry-error.ts';
import { isWrongContent, StoreClosingError } from '../store/errors.ts';
import { UpstreamError } from '../upstream/errors.ts';

/** `absent`: upstream says that there is no such thing; all others are about what may well exist */
export const MISS_REASONS = ['absent', 'denied', 'offline', 'throttled', 'unavailable'] as const;
export type MissReason = (typeof MISS_REASONS)[number];

export interface Refusal {
  reason: MissReason;
  /** what upstream failed at, where it is `unavailable`: a failure reason, `stopping` or `wrong-content` */
  cause: string | undefined;
}

/** @returns undefined where the question was at fault, or hubcap itself */
export function refusalOf(error: RegistryError): Refusal | undefined {
  if (isOfflineUnknown(error)) return { reason: 'offline', cause: undefined };
  switch (error.code) {
    case 'MANIFEST_UNKNOWN':
    case 'BLOB_UNKNOWN':
    case 'NAME_UNKNOWN':
      return { reason: 'absent', cause: undefined };
    case 'DENIED':
      return { reason: 'denied', cause: undefined };
    case 'TOOMANYREQUESTS':
      return { reason: 'throttled', cause: undefined };
    case 'UNAVAILABLE':
      return { reason: 'unavailable', cause: causeOf(error) };
    default:
      return undefined;
  }
}

/** @returns whether it belongs on the miss list: typos would fill it, and what is stopping is asked again */
export function isToBeNoted({ reason, cause }: Refusal): boolean {
  return reason !== 'absent' && cause !== 'stopping';
}

function causeOf({ cause, status }: RegistryError): string | undefined {
  if (cause instanceof StoreClosingError) return 'stopping';
  if (cause instanceof UpstreamError) return cause.reason === 'stopped' ? 'stopping' : cause.reason;
  return isWrongContent(cause) || status === 502 ? 'wrong-content' : undefined;
}
