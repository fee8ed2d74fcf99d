/** Owns how the miss list is told: the same for the control socket, the command line and a command without a daemon. */
import type { MissKind, MissRow } from '../store/misses.ts';

/** One thing that clients asked for and could not be given. */
export interface MissStatus {
  /** as a client names it: `docker.io/library/alpine:3.20`, `…@sha256:…`; without either for a list of tags */
  reference: string;
  /** what the reference is: an image, a blob of no image that is known, a list of tags, the referrers of a digest */
  kind: 'image' | Exclude<MissKind, 'manifest'>;
  /** `linux/arm64/v8`, where it was one platform of an image that is known */
  platform: string | undefined;
  /** of the last request: offline, throttled, unavailable, denied */
  reason: string;
  /** what upstream failed at, where that is known: dns, refused, timeout… */
  cause: string | undefined;
  /** requests, of all clients together */
  count: number;
  firstAt: string;
  lastAt: string;
}

/** What is told at `/api/misses`. */
export interface MissesPage {
  /** lines of the list */
  total: number;
  /** the last asked for first */
  misses: MissStatus[];
}

/** Reads the list line by line. */
export function* listMisses(rows: Iterable<MissRow>): Generator<MissStatus> {
  for (const row of rows) yield describeMiss(row);
}

function describeMiss(row: MissRow): MissStatus {
  const { upstream, repository, reference, kind, platform, count, firstAtMs, lastAtMs } = row;
  const separator = reference === '' ? '' : reference.includes(':') ? '@' : ':';
  const [reason = '', cause] = row.reason.split('/', 2);
  return {
    reference: `${upstream}/${repository}${separator}${reference}`,
    kind: kind === 'manifest' ? 'image' : kind,
    platform,
    reason,
    cause,
    count,
    firstAt: new Date(firstAtMs).toISOString(),
    lastAt: new Date(lastAtMs).toISOString(),
  };
}
