/** Owns the fetching of one image of a list: manifests, then content, then its pin. */

import { repositoryOf } from '../mirror/place.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { isPlatform, parsePlatform, platformText } from '../oci/platform.ts';
import { referenceText } from '../oci/reference.ts';
import { RegistryError } from '../oci/registry-error.ts';
import type { ArchivedContent } from './archive-content.ts';
import { type Closure, chosenClosure, withReferrers } from './chosen-closure.ts';
import type { PrewarmedImage, PrewarmItem } from './commands.ts';
import { fetchContents } from './content-fetch.ts';
import { type FetchContext, type ImageInWork, obtain } from './image-in-work.ts';
import { choiceOf, closureSources, placeOf } from './parts.ts';
import { explainBudget, pinClosure, storedDigest } from './pinning.ts';
import { fetchReferrers } from './referrer-fetch.ts';
import type { RunningImage } from './tally.ts';

/** Levels of manifests that name manifests, and one round to see that all is there. */
const MAX_LEVELS = 6;

/**
 * @returns undefined in a dry run that a limit keeps from knowing what the image has
 * @throws Error with what is wrong and what to do; what was fetched is kept
 */
export async function fetchImage(
  item: PrewarmItem,
  context: FetchContext & Pick<ImageInWork, 'pulled'>,
): Promise<PrewarmedImage | undefined> {
  const { request, parts } = context;
  const place = placeOf(item.reference, parts.upstreams);
  const work: ImageInWork = { ...context, place };
  context.tally.needs(place.upstream, 0);
  if (request.isDryRun) return await foreseeImage(item, work);
  const { digest, closure } = await fetchManifests(item, work);
  await fetchContent(work, closure);
  if (request.isPinning && context.isPinWanted() && !isLoss(work, digest, closure)) {
    const platforms = item.platforms ?? request.platforms;
    pinClosure(place, digest, closure, { ...request, platforms }, context.origin, parts);
  }
  await noteWhoIsServed(work);
  refuseLacking(work, closure);
  return describe(work, digest, closure);
}

/** What an image would take. Where a limit does not let its manifests be had, that is no failure: a run waits. */
async function foreseeImage(item: PrewarmItem, work: ImageInWork): Promise<PrewarmedImage | undefined> {
  try {
    const { digest, closure } = await fetchManifests(item, work);
    meetAll(work, closure.contents);
    refuseLacking(work, closure);
    return describe(work, digest, closure);
  } catch (error) {
    if (!(error instanceof RegistryError && error.status === 429)) throw error;
    const { place, parts, tally, tell, request } = work;
    const digest = storedDigest(place, place.name.reference, parts);
    const choice = choiceOf(item.platforms ?? request.platforms);
    const known = digest && chosenClosure(digest, choice, closureSources(parts));
    if (known) meetAll(work, known.contents);
    tally.foreseeUnknown();
    tally.needs(place.upstream, Math.max(1, known?.unknown.length ?? 0));
    const message = `what it has is not known: ${error.message}`;
    tell({ kind: 'note', reference: place.text, message });
    return undefined;
  }
}

async function fetchManifests(
  { platforms }: PrewarmItem,
  work: ImageInWork,
): Promise<{ digest: Digest; closure: Closure }> {
  const { request, parts, place } = work;
  const choice = choiceOf(platforms ?? request.platforms);
  const sources = closureSources(parts);
  const { digest, mediaType } = await obtain(work, place.name.reference);
  const [first] = isIndexType(mediaType) ? [chosenClosure(digest, choice, sources)] : [];
  if (first && first.manifests.length === 0) refuseLacking(work, first);
  for (const manifest of first?.manifests ?? []) await obtain(work, { kind: 'digest', digest: manifest });
  // An index may name further indexes; each round brings a level. More rounds do not help: what came did not stay.
  for (let level = 1; level <= MAX_LEVELS; level++) {
    const closure = chosenClosure(digest, choice, sources);
    if (closure.unknown.length === 0) {
      if (!request.withReferrers) return { digest, closure };
      await fetchReferrers(work, closure, digest);
      return { digest, closure: withReferrers(closure, digest, repositoryOf(place), sources) };
    }
    for (const manifest of closure.unknown) await obtain(work, { kind: 'digest', digest: manifest });
  }
  throw new Error(
    `${place.text}: the store could not keep all of its manifests: give it more room (storage.maxSize)`,
  );
}

function meetAll({ tally, parts }: ImageInWork, contents: Closure['contents']): void {
  for (const content of contents) tally.meet(content, parts.store.sizeOf(content.digest) !== undefined);
}

async function fetchContent(work: ImageInWork, closure: Closure): Promise<void> {
  const { tally, place, hold } = work;
  const { contents } = closure;
  meetAll(work, contents);
  explainBudget(() => hold.add(contents));
  const running: RunningImage = { reference: place.text, contents };
  tally.begin(running);
  try {
    await fetchContents(work, contents);
  } finally {
    tally.end(running);
  }
}

/** Whether the tag was pinned with a platform that what it is now does not have: what it was stays until it has. */
function isLoss({ place, origin, parts }: ImageInWork, digest: Digest, { lacking }: Closure): boolean {
  const [pin] = parts.pins
    .of(repositoryOf(place), referenceText(place.name.reference))
    .filter((one) => one.origin === origin && one.digest !== digest);
  const had =
    !pin || pin.platforms === 'all' ? [] : pin.platforms.flatMap((text) => parsePlatform(text) ?? []);
  return lacking.some((wanted) => had.some((one) => isPlatform(one, wanted)));
}

/** A platform that an index does not have is a failure, after all else of it was fetched. */
function refuseLacking({ place, parts }: ImageInWork, { lacking, contents: [root] }: Closure): void {
  if (lacking.length === 0 || !root) return;
  const has = chosenClosure(root.digest, 'all', closureSources(parts)).platforms;
  throw new Error(
    `${place.text} has no ${lacking.map(platformText).join(', ')}${has.length > 0 ? `: it has ${has.join(', ')}` : ''}`,
  );
}

/** What was fetched with hubcap's credentials may be for nobody who comes through the mirror: better said now. */
async function noteWhoIsServed({ parts, place, tell }: ImageInWork): Promise<void> {
  const { reference } = place.name;
  const text = reference.kind === 'tag' ? reference.tag : reference.digest;
  try {
    await parts.visibility.check(place, { kind: 'manifest', path: `manifests/${text}` });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tell({
      kind: 'note',
      reference: place.text,
      message: `it is here, and clients are refused it: ${message}`,
    });
  }
}

function describe(
  { place, pulled, tally, request }: ImageInWork,
  digest: Digest,
  closure: Closure,
): PrewarmedImage {
  const bytesOf = (contents: readonly ArchivedContent[]): number =>
    contents.reduce((sum, { size }) => sum + size, 0);
  const here = closure.contents.filter((content) => tally.wasHere(content.digest) ?? true);
  const bytes = bytesOf(closure.contents);
  return {
    reference: place.text,
    digest,
    platforms: closure.platforms,
    bytes,
    hereBytes: bytesOf(here),
    fetchedBytes: bytes - bytesOf(here),
    pulls: pulled.size,
    referrers: closure.referrers.length + closure.signatures.length,
    isPinned: request.isPinning && !request.isDryRun,
  };
}
