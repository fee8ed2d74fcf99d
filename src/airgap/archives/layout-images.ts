/** Owns the images of an OCI image layout: what `index.json` lists, under which names, with what refers to them. */
import { z } from 'zod';
import { type Digest, parseDigest } from '../../oci/digest.ts';
import type { FullImageName } from '../../oci/image-name.ts';
import type { ArchivedImage, ContentSink } from '../archive-content.ts';
import { type ArchiveClosure, ClosureWalker, lacking } from './archive-closure.ts';
import { ArchiveError, printable } from './archive-error.ts';
import { attachReferrers, type FoundImage } from './attach-referrers.ts';
import { repoTagsByConfig } from './docker-archive.ts';
import type { Gathered } from './gather.ts';
import { describeImage } from './image-text.ts';
import { parseDocument } from './json-document.ts';
import { annotatedName } from './layout-names.ts';
import type { Notes } from './notes.ts';
import type { WalkLimit } from './walk-limit.ts';

const INDEX = 'index.json';
const LAYOUT = 'oci-layout';

const LAYOUT_FORM = z.object({ imageLayoutVersion: z.string().startsWith('1.') });
const INDEX_FORM = z.object({
  manifests: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string(),
      size: z.number().int().nonnegative(),
      annotations: z.record(z.string(), z.string()).nullish(),
    }),
  ),
});

/** A line of `index.json`. */
export interface LayoutDescriptor {
  mediaType: string;
  digest: Digest;
  /** bytes */
  size: number;
  name: FullImageName | undefined;
}

/** @throws ArchiveError where `index.json` is not one, or the layout of a version that hubcap does not know */
export function readLayoutIndex({ documents, notes }: Gathered): LayoutDescriptor[] {
  const layout = documents.get(LAYOUT);
  if (layout) parseDocument(LAYOUT, layout, LAYOUT_FORM);
  const index = documents.get(INDEX);
  if (!index) throw new ArchiveError(`the archive has no ${INDEX}`);
  return parseDocument(INDEX, index, INDEX_FORM).manifests.map(
    ({ mediaType, digest: text, size, annotations }) => {
      const digest = parseDigest(text);
      if (!digest) throw new ArchiveError(`"${printable(text)}" is not a digest that hubcap knows`, INDEX);
      return { mediaType, digest, size, name: annotatedName(annotations ?? {}, notes) };
    },
  );
}

/**
 * @returns the images of a layout that is no bundle of ours, all of them whole
 * @throws ArchiveError where one is not whole, or one name stands for two, or they name too much; what the sink throws
 */
export async function layoutImages(
  gathered: Gathered,
  sink: ContentSink,
  limit: WalkLimit,
): Promise<ArchivedImage[]> {
  const walker = new ClosureWalker(sink, limit);
  const repoTags = repoTagsByConfig(gathered);
  const found: FoundImage[] = [];
  const referrers: FoundImage[] = [];
  for (const descriptor of readLayoutIndex(gathered)) {
    const closure = await walker.walk(descriptor);
    const names = descriptor.name ? [descriptor.name] : namesByConfig(closure, repoTags);
    const isReferrer = names.length === 0 && closure.subject !== undefined;
    if (isReferrer) referrers.push({ name: undefined, descriptor, closure });
    else for (const name of names.length > 0 ? names : [undefined]) found.push({ name, descriptor, closure });
  }
  expectWhole(found);
  const images = distinct(found).map((image) => toImage(image, gathered.notes));
  for (const left of attachReferrers(images, referrers, limit))
    gathered.notes.add(`${left.descriptor.digest} refers to what is not in the archive; it was left out`);
  return images;
}

/** @throws ArchiveError that lists what is missing of all of them */
export function expectWhole(found: readonly FoundImage[]): void {
  const broken = found.filter(({ closure }) => closure.missing.size > 0);
  if (broken.length === 0) return;
  const missing = new Map(broken.flatMap(({ closure }) => [...closure.missing]));
  throw lacking([...new Set(broken.map(describeImage))], [...missing.values()]);
}

/** @returns the image, with a note on each platform that only a part is there of */
export function toImage(found: FoundImage, notes: Notes, isMade = false): ArchivedImage {
  const { name, descriptor, closure } = found;
  for (const [platform, missing] of closure.parts)
    notes.add(`${describeImage(found)}: ${platform} lacks ${missing} of its parts; it was left out`);
  return {
    name,
    digest: descriptor.digest,
    mediaType: closure.mediaType,
    platforms: [...closure.platforms],
    contents: [...closure.contents.values()],
    referrers: [],
    isMade,
  };
}

function namesByConfig(
  { contents }: ArchiveClosure,
  repoTags: ReadonlyMap<Digest, FullImageName[]>,
): readonly FullImageName[] {
  for (const digest of contents.keys()) {
    const names = repoTags.get(digest);
    if (names) return names;
  }
  return [];
}

/** Docker lists an image once for each of its tags; without a name it says nothing that a line with one does not. */
function distinct(found: readonly FoundImage[]): FoundImage[] {
  const named = new Map<string, FoundImage>();
  for (const image of found) {
    if (!image.name) continue;
    const text = describeImage(image);
    const other = named.get(text);
    if (other && other.descriptor.digest !== image.descriptor.digest)
      throw new ArchiveError(`has two images by the name of ${text}`, INDEX);
    named.set(text, image);
  }
  const digests = new Set([...named.values()].map(({ descriptor }) => descriptor.digest));
  const nameless = found.filter(({ name, descriptor }) => !name && !digests.has(descriptor.digest));
  return [...named.values(), ...new Map(nameless.map((image) => [image.descriptor.digest, image])).values()];
}
