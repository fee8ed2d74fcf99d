/** Owns `hubcap.json`, the first entry of a bundle: which images it has, and what earlier bundles must have brought. */
import { z } from 'zod';
import type { Digest } from '../../oci/digest.ts';
import { parseDigest } from '../../oci/digest.ts';
import { type FullImageName, fullNameText, parseFullName } from '../../oci/image-name.ts';
import type { ArchivedContent, ArchivedImage } from '../archive-content.ts';
import { parseDocument } from './json-document.ts';
import { isPlatformName } from './platform-names.ts';

export const BUNDLE_INDEX = 'hubcap.json';
const VERSION = 1;

/** An image as a bundle announces it: a claim, until its content was walked. */
export interface BundledImage {
  name: FullImageName | undefined;
  digest: Digest;
  mediaType: string;
  platforms: string[];
  referrers: Digest[];
  isMade: boolean;
}

export interface BundleIndex {
  images: BundledImage[];
  /** what the images need and the bundle does not carry, by digest */
  requires: ArchivedContent[];
  /** of the content that the bundle carries */
  totalBytes: number;
}

/**
 * @param since what earlier bundles carried: it is left out
 * @throws Error where one name stands for two images
 */
export function bundleIndexOf(images: readonly ArchivedImage[], since: ReadonlySet<Digest>): BundleIndex {
  const contents = distinctContents(images);
  const carried = contents.filter(({ digest }) => !since.has(digest));
  return {
    images: sortImages(images).map(({ name, digest, mediaType, platforms, referrers, isMade }) => ({
      name,
      digest,
      mediaType,
      platforms: platforms.filter(isPlatformName),
      referrers,
      isMade,
    })),
    requires: contents.filter(({ digest }) => since.has(digest)).sort((a, b) => compare(a.digest, b.digest)),
    totalBytes: carried.reduce((sum, { size }) => sum + size, 0),
  };
}

/**
 * @returns the images by name, each once, in an order that does not depend on how they were asked for
 * @throws Error where one name stands for two images
 */
export function sortImages(images: readonly ArchivedImage[]): ArchivedImage[] {
  const byKey = new Map<string, ArchivedImage>();
  for (const image of images) {
    const key = image.name ? fullNameText(image.name) : ` ${image.digest}`;
    const other = byKey.get(key);
    if (other && (other.digest !== image.digest || other.platforms.join() !== image.platforms.join()))
      throw new Error(`${key} is asked for twice, and is not the same; name it once`);
    byKey.set(key, image);
  }
  return [...byKey].sort(([a], [b]) => compare(a, b)).map(([, image]) => image);
}

/**
 * @returns all content of the images, each once: manifests first, and before what they name; the same order however the
 *   images were asked for
 */
export function distinctContents(images: readonly ArchivedImage[]): ArchivedContent[] {
  // Where images share manifests each stands where the image that has it last needs it: after those that name it.
  const ranks = new Map<Digest, { content: ArchivedContent; rank: number }>();
  for (const { contents } of images) {
    for (const [position, content] of contents.entries()) {
      const rank = content.kind === 'blob' ? Number.MAX_SAFE_INTEGER : position;
      const known = ranks.get(content.digest);
      if (!known || (known.content.kind === content.kind && known.rank < rank))
        ranks.set(content.digest, { content, rank });
    }
  }
  return [...ranks.values()]
    .sort((a, b) => a.rank - b.rank || compare(a.content.digest, b.content.digest))
    .map(({ content }) => content);
}

/** @returns the document, the same bytes for the same index */
export function encodeBundleIndex({ images, requires, totalBytes }: BundleIndex): Buffer {
  const document = {
    version: VERSION,
    totalBytes,
    images: images.map(({ name, digest, mediaType, platforms, referrers, isMade }) => ({
      ...(name && { name: fullNameText(name) }),
      digest,
      mediaType,
      platforms,
      referrers,
      isMade,
    })),
    requires: requires.map(({ digest, size, kind }) => ({ digest, size, kind })),
  };
  return Buffer.from(`${JSON.stringify(document, undefined, 1)}\n`);
}

const digestForm = z.string().transform((text, context): Digest => {
  const digest = parseDigest(text);
  if (digest) return digest;
  context.addIssue({ code: 'custom', message: 'not a digest' });
  return z.NEVER;
});
const nameForm = z.string().transform((text, context): FullImageName => {
  const name = parseFullName(text);
  if (name) return name;
  context.addIssue({ code: 'custom', message: 'not a name of an image' });
  return z.NEVER;
});
const bytesForm = z.number().int().nonnegative();
const FORM = z.object({
  version: z.literal(VERSION, { error: 'made by a later hubcap; import it with that one' }),
  totalBytes: bytesForm,
  images: z.array(
    z.object({
      name: nameForm.optional(),
      digest: digestForm,
      mediaType: z.string().regex(/^[\w.+/-]{1,200}$/, 'not a media type'),
      platforms: z.array(z.string().refine(isPlatformName, 'not a platform')),
      referrers: z.array(digestForm),
      isMade: z.boolean(),
    }),
  ),
  requires: z.array(z.object({ digest: digestForm, size: bytesForm, kind: z.enum(['manifest', 'blob']) })),
});

/** @throws ArchiveError where the document is not what this version of hubcap writes */
export function parseBundleIndex(body: Buffer): BundleIndex {
  const { images, requires, totalBytes } = parseDocument(BUNDLE_INDEX, body, FORM);
  return { images: images.map(({ name, ...image }) => ({ name, ...image })), requires, totalBytes };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
