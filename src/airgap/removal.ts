/** Owns removing images by hand: what nothing else uses goes, and what something uses is said. */
import { type Place, repositoryOf } from '../mirror/place.ts';
import type { Digest } from '../oci/digest.ts';
import { referenceText } from '../oci/reference.ts';
import { RefusedError } from '../refused-error.ts';
import { chosenClosure, withReferrers } from './chosen-closure.ts';
import type { RemoveReport, RemoveRequest } from './commands.ts';
import { type AirgapParts, closureSources, type NamedPlace, placeOf } from './parts.ts';
import { storedDigest } from './pinning.ts';

type Removed = RemoveReport['removed'][number];

interface Target {
  place: NamedPlace;
  digest: Digest;
}

/** More parents than this have something that others use. */
const MAX_PARENTS = 1000;
const MAX_HOLDERS = 1000;

/** @throws RefusedError where one is not here, or is pinned; nothing is removed then */
export async function removeImages(
  { references, isDryRun }: RemoveRequest,
  parts: AirgapParts,
): Promise<RemoveReport> {
  const targets = references.map((text) => find(placeOf(text, parts.upstreams), parts));
  const going = new Set<Digest>();
  const removed: Removed[] = [];
  for (const target of targets) {
    const goes = whatGoes(target, targets, going, parts);
    for (const digest of goes.keys()) going.add(digest);
    removed.push(describe(target, goes, parts));
    if (!isDryRun) await remove(target, goes, parts);
  }
  return { removed, bytes: removed.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function find(place: NamedPlace, parts: AirgapParts): Target {
  const { reference } = place.name;
  const digest = storedDigest(place, reference, parts);
  if (!digest)
    throw new RefusedError(404, `${place.text} is not in the store: \`hubcap images\` lists what is`);
  const [pin] = parts.pins.of(repositoryOf(place), referenceText(reference));
  if (!pin) return { place, digest };
  const advice =
    pin.origin === '' ? `\`hubcap unpin ${place.text}\` first` : `take it out of ${pin.origin} first`;
  throw new RefusedError(409, `${place.text} is pinned: ${advice}`);
}

/** Content that only what goes needs, from the image downwards: sizes by digest. */
function whatGoes(
  { place, digest: root }: Target,
  targets: readonly Target[],
  going: ReadonlySet<Digest>,
  parts: AirgapParts,
): Map<Digest, number> {
  const { store, pins, catalog } = parts;
  const goes = new Map<Digest, number>();
  for (const { digest } of closureOf(place, root, parts)) {
    const size = store.sizeOf(digest);
    if (size === undefined || pins.names(digest)) continue;
    const parents = catalog.parents(digest, MAX_PARENTS);
    const isGone = (parent: Digest): boolean => goes.has(parent) || going.has(parent);
    if (!parents.every(isGone)) continue;
    if (digest === root ? isNamedBeside(targets, digest, parts) : catalog.tagsOf(digest) > 0) continue;
    goes.set(digest, size);
  }
  return goes;
}

/** Whether the manifest is something by another name than those that go: a tag, or a digest in another repository. */
function isNamedBeside(targets: readonly Target[], digest: Digest, { catalog }: AirgapParts): boolean {
  const same = targets.filter((target) => target.digest === digest);
  const tags = same.filter(({ place }) => place.name.reference.kind === 'tag').length;
  if (catalog.tagsOf(digest) > tags) return true;
  const isTarget = (upstream: string, name: string): boolean =>
    same.some(({ place }) => place.upstream.host === upstream && place.repository === name);
  return catalog.holders(digest, MAX_HOLDERS).some(({ upstream, name }) => !isTarget(upstream, name));
}

function closureOf(place: Place, root: Digest, parts: AirgapParts) {
  const sources = closureSources(parts);
  return withReferrers(chosenClosure(root, 'all', sources), root, repositoryOf(place), sources).contents;
}

function describe({ place, digest }: Target, goes: ReadonlyMap<Digest, number>, parts: AirgapParts): Removed {
  const stored = closureOf(place, digest, parts).map((content) => parts.store.sizeOf(content.digest) ?? 0);
  const bytes = [...goes.values()].reduce((sum, size) => sum + size, 0);
  return {
    reference: place.text,
    digest,
    objects: goes.size,
    bytes,
    keptBytes: stored.reduce((sum, size) => sum + size, 0) - bytes,
  };
}

/** The name first: whatever ends this, no name stands for half an image. */
async function remove(
  { place, digest }: Target,
  goes: ReadonlyMap<Digest, number>,
  parts: AirgapParts,
): Promise<void> {
  const { manifests, permission, store } = parts;
  const contents = closureOf(place, digest, parts);
  manifests.forget(place, place.name.reference);
  if (goes.has(digest)) manifests.forget(place, { kind: 'digest', digest });
  for (const content of contents) {
    if (!goes.has(content.digest)) continue;
    manifests.forget(place, { kind: 'digest', digest: content.digest });
    permission.revoke(place, content.digest, content.kind);
    await store.remove(content.digest, 'requested');
  }
}
