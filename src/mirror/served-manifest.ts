/** Owns what a manifest request is answered with. */
import type { Digest } from '../oci/digest.ts';
import type { Doubt, Outcome } from '../outcome.ts';
import type { StoredManifest } from './manifest-cache.ts';

export interface ServedManifest {
  outcome: Outcome;
  digest: Digest;
  mediaType: string;
  /** bytes, undefined where upstream did not say (HEAD of unknown content) */
  size: number | undefined;
  /** undefined where the answer to HEAD is known without it */
  body: Buffer | undefined;
  /** since upstream said that the tag is this; 0 by digest */
  ageMs: number;
  /** why it is served although upstream did not confirm it */
  doubt?: Doubt | undefined;
  /** how long its time is over, where upstream is asked behind */
  overdueMs?: number | undefined;
  /** what upstream answered, where the manifest is stale */
  upstreamStatus?: number | undefined;
}

/** @returns the answer that gives a manifest that is here */
export function served({ digest, mediaType, body }: StoredManifest, outcome: Outcome): ServedManifest {
  return { outcome, digest, mediaType, size: body.length, body, ageMs: 0 };
}
