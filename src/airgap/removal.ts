/** Owns removing images by hand: what nothing else uses goes, and what something uses is said. */
import { repositoryOf } from '../mirror/place.ts';
import type { Digest } from '../oci/digest.ts';
import { referenceText } from '../oci/reference.ts';
import { RefusedError } from '../refused-error.ts';
import type { Catalog } from '../store/catalog.ts';
import type { ArchivedContent } from './archive-content.ts';
import { chosenClosure, withReferrers } from './chosen-closure.ts';
import type { RemoveReport, RemoveRequest } from './commands.ts';
import { type AirgapParts, closureSources, type NamedPlace, placeOf } from './parts.ts';
import { storedDigest } from './pinning.ts';

type Removed = RemoveReport['removed'][number];

interface Target {
  place: NamedPlace;
  digest: Digest;
  /** all that belongs to it, itself first */
  contents: ArchivedContent[];
}

/** More parents than this have something that others use. */
const MAX_PARENTS = 1000;
const MAX_HOLDERS = 1000;

/** @throws RefusedError where one is not here, or is pinned; nothing is removed then */
export async function removeImages(
  { references, isDryRun }: RemoveRequest,
  parts: AirgapParts,
): Promise<RemoveReport> {
  const named = references.map((text) => placeOf(text, parts.upstreams));
  const targets = [...new Map(named.map((place) => [place.text, place])).values()].map((place) =>
    find(place, parts),
  );
  const going = new Set<Digest>();
  const planned = targets.map((target) => {
    const goes = whatGoes(target, targets, going, parts);
    for (const digest of goes) going.add(digest);
    return { target, goes, report: describe(target, goes, going, parts) };
  });
  if (!isDryRun) for (const { target, goes } of planned) await remove(target, goes, parts);
  const removed = planned.map(({ report }) => report);
  return { removed, bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function find(place: NamedPlace, parts: AirgapParts): Target {
  const { reference } = place.name;
  const digest = storedDigest(place, reference, parts);
  if (!digest)
    throw new RefusedError(404, `${place.text} is not in the store: \`hubcap images\` lists what is`);
  const [pin] = parts.pins.of(repositoryOf(place), referenceText(reference));
  if (pin) {
    const advice =
      pin.origin === '' ? `\`hubcap unpin ${place.text}\` first` : `take it out of ${pin.origin} first`;
    throw new RefusedError(409, `${place.text} is pinned: ${advice}`);
  }
  const sources = closureSources(parts);
  const image = chosenClosure(digest, 'all', sources);
  return { place, digest, contents: withReferrers(image, digest, repositoryOf(place), sources).contents };
}

/** Content that only what goes needs, from the image downwards. */
function whatGoes(
  { digest: root, contents }: Target,
  targets: readonly Target[],
  going: ReadonlySet<Digest>,
  { store, pins, catalog }: AirgapParts,
): Set<Digest> {
  const same = targets.filter(({ digest }) => digest === root);
  return needless(contents, (digest, goes) => {
    if (going.has(digest) || store.sizeOf(digest) === undefined || pins.names(digest)) return false;
    const isGone = (other: Digest): boolean => goes.has(other) || going.has(other);
    if (!catalog.parents(digest, MAX_PARENTS).every(isGone)) return false;
    if (digest !== root && isReferring(digest, isGone, catalog)) return false;
    return !isNamedBeside(digest, digest === root ? same : [], same, catalog);
  });
}

/**
 * @param isNeedless whether it is, once those are gone that were found so far. A layer may be met before the last
 *   manifest that names it: all are asked again until nothing more is found
 */
function needless(
  contents: readonly ArchivedContent[],
  isNeedless: (digest: Digest, found: ReadonlySet<Digest>) => boolean,
): Set<Digest> {
  const found = new Set<Digest>();
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const { digest } of contents) if (!found.has(digest) && isNeedless(digest, found)) found.add(digest);
  }
  return found;
}

/** Whether it refers to a manifest that stays: a signature is needed as long as what it signs. */
function isReferring(digest: Digest, isGone: (digest: Digest) => boolean, catalog: Catalog): boolean {
  const subject = catalog.subject(digest);
  return subject !== undefined && catalog.manifestType(subject) !== undefined && !isGone(subject);
}

/** Whether a manifest is something by another name than those that go: a tag, or a digest in another repository. */
function isNamedBeside(
  digest: Digest,
  named: readonly Target[],
  same: readonly Target[],
  catalog: Catalog,
): boolean {
  const tags = named.filter(({ place }) => place.name.reference.kind === 'tag').length;
  if (catalog.tagsOf(digest) > tags) return true;
  if (catalog.manifestType(digest) === undefined) return false; // a blob is needed by manifests alone
  const isTarget = (upstream: string, name: string): boolean =>
    same.some(({ place }) => place.upstream.host === upstream && place.repository === name);
  return catalog.holders(digest, MAX_HOLDERS).some(({ upstream, name }) => !isTarget(upstream, name));
}

function describe(
  { place, digest, contents }: Target,
  goes: ReadonlySet<Digest>,
  going: ReadonlySet<Digest>,
  { store }: AirgapParts,
): Removed {
  const bytesOf = (all: readonly ArchivedContent[]): number =>
    all.reduce((sum, content) => sum + (store.sizeOf(content.digest) ?? 0), 0);
  return {
    reference: place.text,
    digest,
    objects: goes.size,
    bytes: bytesOf(contents.filter((content) => goes.has(content.digest))),
    keptBytes: bytesOf(contents.filter((content) => !going.has(content.digest))),
  };
}

/** The name first: whatever ends this, no name stands for half an image. */
async function remove(target: Target, goes: ReadonlySet<Digest>, parts: AirgapParts): Promise<void> {
  const { manifests, permission, store, pins } = parts;
  const { place, contents } = target;
  manifests.forget(place, place.name.reference);
  const leaving = whatLeaves(target, parts);
  for (const { digest, kind } of contents) {
    if (!leaving.has(digest) && !goes.has(digest)) continue;
    if (kind === 'manifest') manifests.forget(place, { kind: 'digest', digest });
    permission.revoke(place, digest, kind);
    // It may have been pinned after it was looked at.
    if (goes.has(digest) && !pins.names(digest)) await store.remove(digest, 'requested');
  }
}

/** What the repository holds for the image alone: what stays for another repository is not its any more. */
function whatLeaves({ place, digest: root, contents }: Target, { catalog, pins }: AirgapParts): Set<Digest> {
  const repository = repositoryOf(place);
  const isPinned = pins.list().some(({ repository: { upstream, name }, digest }) => {
    return digest === root && upstream === repository.upstream && name === repository.name;
  });
  if (isPinned) return new Set();
  return needless(contents, (digest, leaving) => {
    if (catalog.isTagged(repository, digest)) return false;
    const parents = catalog
      .parents(digest, MAX_PARENTS)
      .filter((parent) => catalog.holds(repository, parent));
    if (!parents.every((parent) => leaving.has(parent))) return false;
    return digest === root || !isReferring(digest, (other) => leaving.has(other), catalog);
  });
}
