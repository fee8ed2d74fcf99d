/** Owns an export: which images go into a bundle, and that what goes out is what its digest says. */
import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { repositoryOf } from '../mirror/place.ts';
import { algorithmOf, type Digest, digestOfHash, parseDigest } from '../oci/digest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { parseTag } from '../oci/reference.ts';
import { cosignTags } from '../oci/referrer.ts';
import { RefusedError } from '../refused-error.ts';
import { DigestMismatchError } from '../store/errors.ts';
import type { ExportedBundle } from './airgap.ts';
import type { ArchivedContent, ArchivedImage, ContentSource } from './archive-content.ts';
import { sortImages } from './archives/bundle-index.ts';
import { planBundle, writeBundle } from './archives/write-bundle.ts';
import { chosenClosure, isComplete, withReferrers } from './chosen-closure.ts';
import type { ExportPlan, ExportRequest } from './commands.ts';
import { type AirgapParts, closureSources, type NamedPlace, placeOf, storedName } from './parts.ts';
import { pinnedName, wholeImage } from './pinning.ts';

/**
 * @returns the plan, and the bundle: what it carries is kept from eviction while it is read
 * @throws RefusedError where an image that was asked for is not here as a whole, or there is none
 */
export async function exportImages(request: ExportRequest, parts: AirgapParts): Promise<ExportedBundle> {
  const { images, leftOut } = await select(request, parts);
  const [first] = leftOut;
  if (images.length === 0) {
    const why =
      request.selection === 'pinned' ? NOTHING_PINNED : (first?.message ?? 'the store holds no image');
    throw new RefusedError(404, `there is nothing to export: ${why}`);
  }
  const since = new Set(request.since.flatMap((text) => parseDigest(text) ?? []));
  const source = storeSource(parts);
  const archived = images.map(({ image }) => image);
  const texts = new Map(images.map(({ image, place }) => [image.name, place.text]));
  const plan = await planBundle(archived, since, source);
  const described: ExportPlan = {
    images: sortImages(archived).map(({ name, digest, platforms, contents }) => ({
      reference: texts.get(name) ?? digest,
      digest,
      platforms,
      bytes: bytesOf(contents),
    })),
    bytes: plan.size,
    carried: { objects: plan.contents.length, bytes: bytesOf(plan.contents) },
    required: { objects: plan.index.requires.length, bytes: bytesOf(plan.index.requires) },
    leftOut,
  };
  return { plan: described, bundle: held(plan.contents, parts, () => writeBundle(plan, source)) };
}

const NOTHING_PINNED =
  'nothing is pinned; name images, pin some (`hubcap pin`), or export --all that is here';

interface Selected {
  place: NamedPlace;
  image: ArchivedImage;
}

interface Selection {
  images: Selected[];
  leftOut: ExportPlan['leftOut'];
}

/** Of thousands of images that takes seconds: others have their turn after each. */
async function select(request: ExportRequest, parts: AirgapParts): Promise<Selection> {
  const { selection, references } = request;
  const found = new Map<string, Selected>();
  const leftOut: ExportPlan['leftOut'] = [];
  const take = (text: string): void => {
    const leaveOut = (message: string): void => void leftOut.push({ reference: text, message });
    // A signature may be selected by itself, and with what it signs.
    for (const one of selectOne(placeOf(text, parts.upstreams), request, parts, leaveOut))
      if (!found.has(one.place.text)) found.set(one.place.text, one);
  };
  const all = { references: () => references, pinned: pinnedReferences, all: storedReferences };
  for (const text of all[selection](parts)) {
    try {
      take(text);
    } catch (error) {
      if (!(error instanceof RefusedError) || selection === 'references') throw error;
      if (selection === 'pinned')
        throw new RefusedError(409, `what is pinned is not all here: ${error.message}`);
      leftOut.push({ reference: text, message: error.message });
    }
    await turn();
  }
  return { images: [...found.values()], leftOut };
}

function pinnedReferences({ pins }: AirgapParts): Set<string> {
  return new Set(pins.list().map(pinnedName));
}

function* storedReferences({ catalog }: AirgapParts): Generator<string> {
  for (const { upstream, repository, tag, digest } of catalog.images())
    yield storedName(upstream, repository, tag ?? digest);
}

/**
 * The image with the manifests that refer to it, and the tags under which cosign has signed it: images of their own.
 * @param leaveOut told what refers to it and is not here as a whole
 */
function selectOne(
  place: NamedPlace,
  { platforms }: ExportRequest,
  parts: AirgapParts,
  leaveOut: (message: string) => void,
): Selected[] {
  const { digest, closure: chosen } = wholeImage(place, { platforms, withReferrers: false }, parts);
  const sources = closureSources(parts);
  const partial = new Set<Digest>();
  const accepts = (referrer: Digest): boolean => {
    const isWhole = isComplete(chosenClosure(referrer, 'all', sources), sources);
    if (!isWhole) partial.add(referrer);
    return isWhole;
  };
  const choice = { withTagged: false, accepts };
  const closure = withReferrers(chosen, digest, repositoryOf(place), sources, choice);
  if (partial.size > 0) {
    leaveOut(
      `${partial.size} of the manifests that refer to it are not here as a whole: \`hubcap prewarm --with-referrers ${place.text}\` fetches them`,
    );
  }
  const mediaType = parts.catalog.manifestType(digest) ?? '';
  const image: ArchivedImage = {
    name: place.name,
    digest,
    mediaType,
    platforms: isIndexType(mediaType) ? closure.platforms : [],
    contents: closure.contents.map((content) => sized(content, parts)),
    referrers: closure.referrers,
    isMade: false,
  };
  return [
    { place, image },
    ...signatures(place, [digest, ...closure.manifests, ...closure.referrers], parts),
  ];
}

function signatures(place: NamedPlace, subjects: readonly Digest[], parts: AirgapParts): Selected[] {
  const sources = closureSources(parts);
  return [...new Set(subjects)].flatMap(cosignTags).flatMap((text) => {
    const tag = parseTag(text);
    const state = tag && parts.catalog.tag(repositoryOf(place), tag);
    if (!state) return [];
    const { digest, mediaType } = state;
    const closure = chosenClosure(digest, 'all', sources);
    if (!isComplete(closure, sources)) return [];
    const signed = placeOf(storedName(place.upstream.host, place.repository, tag), parts.upstreams);
    const contents = closure.contents.map((content) => sized(content, parts));
    const image = {
      name: signed.name,
      digest,
      mediaType,
      platforms: closure.platforms,
      contents,
      referrers: [],
      isMade: false,
    };
    return [{ place: signed, image }];
  });
}

/** With the size that it really has: a descriptor is somebody's word. */
function sized(content: ArchivedContent, { store }: AirgapParts): ArchivedContent {
  return { ...content, size: store.sizeOf(content.digest) ?? content.size };
}

function bytesOf(contents: readonly ArchivedContent[]): number {
  return contents.reduce((sum, { size }) => sum + size, 0);
}

async function* held(
  contents: readonly ArchivedContent[],
  { pins, store }: AirgapParts,
  write: () => AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  const hold = pins.hold();
  try {
    hold.add(contents, true);
    for (const { digest } of contents)
      if (!(await store.isStored(digest))) throw new Error(`${digest} was evicted meanwhile: export again`);
    yield* write();
  } finally {
    await hold.release();
  }
}

const CHUNK_BYTES = 256 * 1024;

/** Reads stored content, and proves it before its last bytes are given. */
function storeSource({ store }: AirgapParts): ContentSource {
  return {
    async *open(digest) {
      const reader = await store.open(digest);
      if (!reader) throw new Error(`${digest} is not in the store any more: export again`);
      try {
        const hash = createHash(algorithmOf(digest));
        let last: Buffer | undefined;
        let position = 0;
        for (;;) {
          const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
          const bytes = await reader.read(buffer, position);
          if (bytes === 0) break;
          if (last) yield last;
          last = buffer.subarray(0, bytes);
          hash.update(last);
          position += bytes;
        }
        const found = digestOfHash(algorithmOf(digest), hash);
        if (found !== digest) throw new DigestMismatchError(digest, found, position);
        if (last) yield last;
      } finally {
        reader.close();
      }
    },
  };
}
