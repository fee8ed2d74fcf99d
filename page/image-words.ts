/** Owns what there is of an image, and why something was missed, in words. Pure. */
import type { MissStatus } from '../src/admin/misses.ts';
import type { ImageStatus, PlatformStatus } from '../src/admin/status.ts';
import { countOf, formatShare } from './words.ts';

export interface ReferenceParts {
  /** `docker.io/library/alpine` */
  name: string;
  /** `:3.20`; empty for a reference by digest, as the digest is told beside it */
  tag: string;
}

/** @returns the name and the tag */
export function referenceParts(reference: string): ReferenceParts {
  const [tagged = '', digest] = reference.split('@', 2);
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  if (digest !== undefined || colon < 0) return { name: tagged, tag: '' };
  return { name: tagged.slice(0, colon), tag: tagged.slice(colon) };
}

export interface PlatformWords {
  /** platforms that are here as a whole */
  whole: string[];
  /** platforms of which a part is here, with how much: `linux/arm64 (45.2 %)` */
  parts: string[];
  /** how many there are, attestations not counted */
  total: number;
}

/** Attestations: a part of an image that nobody runs. */
const NO_PLATFORM = 'unknown/unknown';

/** @returns what can be run; an image for one platform does not say which: `single`, as in `hubcap images` */
export function platformWords({ platforms }: Pick<ImageStatus, 'platforms'>): PlatformWords {
  const runnable = platforms.filter(({ platform }) => platform !== NO_PLATFORM);
  const name = ({ platform }: PlatformStatus): string => platform ?? 'single';
  return {
    whole: runnable.filter(({ isComplete }) => isComplete).map(name),
    parts: runnable
      .filter(({ isComplete, storedBytes }) => !isComplete && storedBytes > 0)
      .map(
        (part) =>
          `${name(part)} (${formatShare(part.knownBytes > 0 ? part.storedBytes / part.knownBytes : undefined)})`,
      ),
    total: runnable.length,
  };
}

/** @returns why an image is not complete, undefined where it is */
export function missingWords(image: Pick<ImageStatus, 'state' | 'platforms'>): string | undefined {
  if (image.state === 'complete') return undefined;
  const { whole, total } = platformWords(image);
  if (total > 0 && whole.length === total) return 'attestations are missing';
  return total < 2 ? 'layers are missing' : `${whole.length} of ${countOf(total, 'platform')}`;
}

const REASONS: Readonly<Record<string, string>> = {
  offline: 'hubcap was offline',
  throttled: 'upstream limits requests or pulls',
  unavailable: 'upstream could not be reached',
  denied: 'upstream refuses access',
};

const CAUSES: Readonly<Record<string, string>> = {
  dns: 'name not found',
  refused: 'connection refused',
  tls: 'certificate not accepted',
  reset: 'connection broken',
  timeout: 'no answer in time',
  'server-error': 'server error',
  'wrong-content': 'wrong content',
  html: 'a web page instead',
};

/** @returns `upstream could not be reached: connection refused` */
export function missWords({ reason, cause }: Pick<MissStatus, 'reason' | 'cause'>): string {
  const why = REASONS[reason] ?? reason;
  return cause === undefined ? why : `${why}: ${CAUSES[cause] ?? cause}`;
}

const KINDS: Readonly<Record<string, string>> = {
  blob: 'a layer; of which image is not known',
  tags: 'the list of tags',
  referrers: 'signatures and attestations',
};

/** @returns which part of an image was asked for; undefined where it was the image itself */
export function missedPart({ kind, platform }: Pick<MissStatus, 'kind' | 'platform'>): string | undefined {
  return KINDS[kind] ?? platform;
}
