/** Owns how imported images come to be known: all at once, under their names. */
import { repositoryOf } from '../mirror/place.ts';
import { CARRIED_AT_MS } from '../mirror/visibility.ts';
import type { Hold, PinWish } from '../store/pins.ts';
import type { ArchivedImage } from './archive-content.ts';
import { ArchiveError } from './archives/archive-error.ts';
import type { ImportRequest } from './commands.ts';
import type { NamedImage } from './import-names.ts';
import type { AirgapParts, NamedPlace } from './parts.ts';
import { BY_HAND, explainBudget } from './pinning.ts';

export interface Adoption extends Pick<ImportRequest, 'isPinning'> {
  /** whoever asked has left: then nothing is adopted */
  signal: AbortSignal;
}

/**
 * Gives images names, permission and pins, once all of them is here: all or none.
 * @param hold keeps their content until they are pinned, or have names
 * @throws ArchiveError where something has gone meanwhile; RefusedError where pins do not fit; StorageError; the
 *   signal's reason
 */
export async function adoptImages(
  images: readonly NamedImage[],
  { isPinning, signal }: Adoption,
  hold: Hold,
  parts: AirgapParts,
): Promise<void> {
  const { store, cache, catalog, manifests, visibility, pins, now } = parts;
  const contents = images.flatMap(({ image }) => image.contents);
  explainBudget(() => {
    if (isPinning) pins.check(contents);
    hold.add(contents, true);
  });
  for (const { digest, kind } of contents) {
    const isHere = await store.isStored(digest);
    if (!isHere || (kind === 'manifest' && !(await cache.learn(digest)))) {
      throw new ArchiveError(`${digest} is not in the store any more: import the archive again`);
    }
  }
  const adopted = images.map(({ place, image }) => ({
    repository: repositoryOf(place),
    tag: place.name.reference.kind === 'tag' ? place.name.reference.tag : undefined,
    digest: image.digest,
    mediaType: image.mediaType,
    size: store.sizeOf(image.digest) ?? 0,
    contents: image.contents.map(({ digest }) => digest),
  }));
  const nowMs = now();
  const pinAll = (): void => {
    for (const { place, image } of isPinning ? images : [])
      pins.set(wishOf(place, image), image.digest, image.contents);
  };
  signal.throwIfAborted();
  try {
    catalog.adopt(adopted, nowMs, CARRIED_AT_MS, pinAll); // all at once: no name without its pin, and no pin without
  } catch (error) {
    pins.recount();
    throw error;
  }
  for (const [at, { tag, digest, mediaType, size }] of adopted.entries()) {
    const place = images[at]?.place;
    if (!place) continue;
    if (tag !== undefined) manifests.adopt(place, tag, { digest, mediaType, size, checkedAtMs: nowMs });
    visibility.carried(place);
  }
}

function wishOf(place: NamedPlace, { digest, platforms, referrers }: ArchivedImage): PinWish {
  const { reference } = place.name;
  return {
    repository: repositoryOf(place),
    reference: reference.kind === 'tag' ? reference.tag : digest,
    origin: BY_HAND,
    platforms,
    withReferrers: referrers.length > 0,
  };
}
