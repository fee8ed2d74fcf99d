/** Owns pinning by hand: what is here is kept, or it is said what is not. */

import type { Place } from '../mirror/place.ts';
import { repositoryOf } from '../mirror/place.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { platformText } from '../oci/platform.ts';
import { type Reference, referenceText } from '../oci/reference.ts';
import { RefusedError } from '../refused-error.ts';
import { type Pin, PinBudgetError } from '../store/pins.ts';
import { formatBytes } from '../units.ts';
import {
  type Closure,
  chosenClosure,
  completePlatforms,
  isComplete,
  withReferrers,
} from './chosen-closure.ts';
import type { PinReport, PinRequest, PinStatus, UnpinReport } from './commands.ts';
import { type AirgapParts, choiceOf, closureSources, type NamedPlace, placeOf, storedName } from './parts.ts';

/** Whoever pins by hand. */
export const BY_HAND = '';

/** @throws RefusedError where one is not here as a whole, or all together do not fit; nothing is pinned then */
export function pinImages(request: PinRequest, parts: AirgapParts): PinReport {
  const wanted = request.references.map((text) => {
    const place = placeOf(text, parts.upstreams);
    return { place, ...wholeImage(place, request, parts) };
  });
  explainBudget(() => parts.pins.check(wanted.flatMap(({ closure }) => closure.contents)));
  for (const { place, digest, closure } of wanted)
    pinClosure(place, digest, closure, request, BY_HAND, parts);
  const pinned = wanted.flatMap(({ place }) => statusesOf(place, parts));
  return { pinned, pinnedBytes: parts.pins.bytes, maxBytes: parts.store.ledger.maxBytes };
}

/**
 * Pins what is here. @param wish `platforms` as they were asked for: a tag that moves is followed with them
 * @throws RefusedError where more would be pinned than the budget holds
 */
export function pinClosure(
  place: NamedPlace,
  digest: Digest,
  closure: Closure,
  { withReferrers, platforms }: Pick<PinRequest, 'withReferrers' | 'platforms'>,
  origin: string,
  parts: AirgapParts,
): void {
  const wish = {
    repository: repositoryOf(place),
    reference: referenceText(place.name.reference),
    origin,
    platforms: platforms === 'all' ? platforms : closure.platforms,
    withReferrers,
  };
  explainBudget(() => parts.pins.set(wish, digest, closure.contents));
}

/** @throws RefusedError in place of PinBudgetError */
export function explainBudget(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof PinBudgetError)) throw error;
    const { wantedBytes, totalBytes, maxBytes } = error;
    throw new RefusedError(
      409,
      `${formatBytes(wantedBytes)} more beside what is pinned would make ${formatBytes(totalBytes)}, and the store holds ${formatBytes(maxBytes)}: unpin something (\`hubcap images --pinned\`), or give the store more room (storage.maxSize)`,
    );
  }
}

/** @throws RefusedError where one is not pinned by hand; nothing is unpinned then */
export function unpinImages(references: readonly string[], parts: AirgapParts): UnpinReport {
  const pins = references.map((text) => {
    const place = placeOf(text, parts.upstreams);
    const found = parts.pins.of(repositoryOf(place), referenceText(place.name.reference));
    const [scheduled] = found.filter(({ origin }) => origin !== BY_HAND);
    if (found.some(({ origin }) => origin === BY_HAND)) return place;
    if (!scheduled)
      throw new RefusedError(404, `${place.text} is not pinned: \`hubcap images --pinned\` lists what is`);
    throw new RefusedError(
      409,
      `${place.text} is pinned by the schedule of ${scheduled.origin}: take it out of that list`,
    );
  });
  for (const place of pins) {
    parts.pins.delete(repositoryOf(place), referenceText(place.name.reference), BY_HAND);
  }
  return { unpinned: pins.map(({ text }) => text), pinnedBytes: parts.pins.bytes };
}

/** All pins, in order. */
export function* listPins(parts: AirgapParts): Generator<PinStatus> {
  for (const pin of parts.pins.list()) yield describePin(pin, parts);
}

function statusesOf(place: NamedPlace, parts: AirgapParts): PinStatus[] {
  const pins = parts.pins.of(repositoryOf(place), referenceText(place.name.reference));
  return pins.filter(({ origin }) => origin === BY_HAND).map((pin) => describePin(pin, parts));
}

function describePin(pin: Pin, { pins, store }: AirgapParts): PinStatus {
  const { digest, platforms, withReferrers, origin, pinnedAtMs } = pin;
  const contents = pins.contents(pin);
  return {
    reference: pinnedName(pin),
    digest,
    platforms: platforms === 'all' ? platforms : [...platforms],
    withReferrers,
    origin,
    pinnedAt: new Date(pinnedAtMs).toISOString(),
    bytes: contents.reduce((sum, { size }) => sum + size, 0),
    isComplete: contents.every((content) => store.sizeOf(content.digest) !== undefined),
  };
}

/** @returns the name of what is pinned, in full */
export function pinnedName({ repository: { upstream, name }, reference }: Pin): string {
  return storedName(upstream, name, reference);
}

/** @returns what a reference is, of what is here; undefined where nothing is */
export function storedDigest(
  place: Place,
  reference: Reference,
  { catalog }: Pick<AirgapParts, 'catalog'>,
): Digest | undefined {
  const repository = repositoryOf(place);
  const digest = reference.kind === 'tag' ? catalog.tag(repository, reference.tag)?.digest : reference.digest;
  const isHere = digest && catalog.holds(repository, digest) && catalog.manifestType(digest) !== undefined;
  return isHere ? digest : undefined;
}

/**
 * An image as it is here: the platforms that were asked for, else all that are whole.
 * @throws RefusedError where something of it is missing
 */
export function wholeImage(
  place: NamedPlace,
  { platforms, withReferrers: hasReferrers }: Pick<PinRequest, 'platforms' | 'withReferrers'>,
  parts: AirgapParts,
): { digest: Digest; closure: Closure } {
  const { catalog } = parts;
  const sources = closureSources(parts);
  const { text } = place;
  const digest = storedDigest(place, place.name.reference, parts);
  if (!digest)
    throw new RefusedError(404, `${text} is not in the store: \`hubcap prewarm ${text}\` fetches it`);
  const isIndex = isIndexType(catalog.manifestType(digest) ?? '');
  const chosen = platforms === undefined ? completePlatforms(digest, sources) : choiceOf(platforms);
  if (isIndex && platforms === undefined && chosen.length === 0) {
    throw new RefusedError(
      409,
      `${text}: of none of its platforms all is here: \`hubcap prewarm ${text}\` fetches it`,
    );
  }
  const closure = chosenClosure(digest, chosen, sources);
  if (closure.lacking.length > 0) {
    throw new RefusedError(404, `${text} has no ${closure.lacking.map(platformText).join(', ')}`);
  }
  if (!isComplete(closure, sources)) {
    const option =
      platforms === undefined ? '' : ` --platform ${platforms === 'all' ? platforms : platforms.join(',')}`;
    throw new RefusedError(
      409,
      `${text} is not here as a whole: \`hubcap prewarm${option} ${text}\` fetches the rest`,
    );
  }
  if (!hasReferrers) return { digest, closure };
  const all = withReferrers(closure, digest, repositoryOf(place), sources);
  if (!isComplete(all, sources)) {
    throw new RefusedError(
      409,
      `${text}: not all that refers to it is here as a whole: \`hubcap prewarm --with-referrers ${text}\` fetches the rest`,
    );
  }
  return { digest, closure: all };
}
