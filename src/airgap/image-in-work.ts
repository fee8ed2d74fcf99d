/** Owns what the parts of fetching an image share, and how each of its manifests is had. */
import type { Digest } from '../oci/digest.ts';
import type { Reference } from '../oci/reference.ts';
import type { Hold } from '../store/pins.ts';
import type { PrewarmEvent, PrewarmRequest } from './commands.ts';
import type { AirgapParts, NamedPlace } from './parts.ts';
import { patiently } from './patience.ts';
import type { Tally } from './tally.ts';

export interface FetchContext {
  request: PrewarmRequest;
  /** for what is pinned: empty for a person, else the list of a schedule */
  origin: string;
  /** whether it is still to be pinned, once it is here */
  isPinWanted: () => boolean;
  parts: AirgapParts;
  /** when the run began, ms since the epoch: what upstream said of a tag before is asked for again */
  sinceMs: number;
  tally: Tally;
  /** keeps what the run fetches until its end */
  hold: Hold;
  tell: (event: PrewarmEvent) => void;
  signal: AbortSignal;
}

/** An image while it is fetched. */
export interface ImageInWork extends FetchContext {
  place: NamedPlace;
  /** manifests that were fetched for it */
  pulled: Set<Digest>;
}

/** Brings a manifest into the store. @throws Error where it is not there, or not kept */
export async function obtain(
  work: ImageInWork,
  reference: Reference,
): Promise<{ digest: Digest; mediaType: string }> {
  const { parts, place, tally, pulled, sinceMs } = work;
  const known = reference.kind === 'digest' ? parts.store.sizeOf(reference.digest) : undefined;
  const { manifest, outcome, isStored, doubt } = await patiently(work, () =>
    parts.manifests.obtain(place, reference, sinceMs),
  );
  const { digest, mediaType, body } = manifest;
  const isNew = outcome === 'miss' || outcome === 'bypass';
  if (isNew) {
    pulled.add(digest);
    tally.pulled();
  }
  if (!isStored)
    throw new Error(`${place.text}: the store has no room for its manifest: give it more (storage.maxSize)`);
  if (doubt && !parts.isOffline()) {
    const what =
      doubt === 'kept'
        ? 'the registry has deleted it; what is here is kept'
        : 'the registry could not say whether it is still what is here';
    throw new Error(`${place.text}: ${what}`);
  }
  const isComing = isNew || outcome === 'coalesced'; // another image's fetch has brought it
  tally.meet({ digest, size: body.length }, known !== undefined || !isComing);
  tally.came(digest);
  return { digest, mediaType };
}
