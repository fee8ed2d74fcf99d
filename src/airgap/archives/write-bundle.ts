/** Owns the writing of bundles: one tar that is an OCI image layout, and has what `docker load` reads beside it. */
import { algorithmOf, type Digest } from '../../oci/digest.ts';
import { OCI_INDEX } from '../../oci/media-types.ts';
import { RefusedError } from '../../refused-error.ts';
import type { ArchivedContent, ArchivedImage, ContentSource } from '../archive-content.ts';
import { blobPath } from './blob-path.ts';
import {
  BUNDLE_INDEX,
  type BundleIndex,
  bundleIndexOf,
  distinctContents,
  encodeBundleIndex,
  sortImages,
} from './bundle-index.ts';
import { MAX_DOCUMENT_BYTES } from './json-document.ts';
import { indexDescriptor } from './layout-names.ts';
import { MAX_ENTRIES } from './read-archive.ts';
import { dockerManifest, runnableImages } from './runnable-images.ts';
import { directoryHead, END_MARK, fileHead, padding, storedBytes } from './tar-blocks.ts';

/** A bundle before it is written. */
export interface BundlePlan {
  index: BundleIndex;
  /** what stands before the blobs, in order */
  documents: readonly { path: string; body: Buffer }[];
  /** what is carried, in order */
  contents: readonly ArchivedContent[];
  /** exact bytes of the file */
  size: number;
}

/** Documents and directories. */
const OTHER_ENTRIES = 16;

/**
 * Decides what a bundle will be. The same images and content give the same bytes, in whatever order they are named.
 * @param since digests that earlier bundles carried: they are left out, and noted as required
 * @param source is asked for manifests alone
 * @throws Error where one name stands for two images; RefusedError where there are too many for one bundle; what `source` throws
 */
export async function planBundle(
  images: readonly ArchivedImage[],
  since: ReadonlySet<Digest>,
  source: ContentSource,
): Promise<BundlePlan> {
  const sorted = sortImages(images);
  const index = bundleIndexOf(sorted, since);
  const contents = distinctContents(sorted).filter(({ digest }) => !since.has(digest));
  if (contents.length > MAX_ENTRIES - OTHER_ENTRIES)
    throw new RefusedError(
      409,
      `${contents.length} contents are too many for one bundle; export the images in parts`,
    );
  const runnable = await runnableImages(sorted, source);
  // `docker load`, `podman load` and `ctr images import` take all that is listed for images to be unpacked, and fail as a whole
  // at a signature. What is no image is known to hubcap alone, unless there is nothing else.
  const listed = runnable.length > 0 ? runnable.map(({ image }) => image) : sorted;
  const layoutIndex = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: listed.map(indexDescriptor) };
  const documents = [
    // First, so that an import can refuse what it cannot take before it has read it.
    { path: BUNDLE_INDEX, body: encodeBundleIndex(index) },
    { path: 'oci-layout', body: encode({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', body: encode(layoutIndex) },
    { path: 'manifest.json', body: encode(dockerManifest(runnable)) },
  ];
  for (const { path, body } of documents)
    if (body.length > MAX_DOCUMENT_BYTES)
      throw new RefusedError(
        409,
        `${sorted.length} images are too many for one bundle: ${path} would have ${body.length} bytes; export them in parts`,
      );
  return { index, documents, contents, size: sizeOf(documents, contents) };
}

/**
 * Writes a bundle; memory holds a chunk of it.
 * @throws what `source` throws; Error where content is not of the size that it should have
 */
export async function* writeBundle(
  { documents, contents }: Pick<BundlePlan, 'documents' | 'contents'>,
  source: ContentSource,
): AsyncGenerator<Buffer, void, void> {
  for (const { path, body } of documents) {
    yield fileHead(path, body.length);
    yield body;
    yield padding(body.length);
  }
  yield* directoriesOf(contents).map(directoryHead);
  for (const { digest, size } of contents) {
    yield fileHead(blobPath(digest), size);
    yield* measured(digest, size, source.open(digest));
    yield padding(size);
  }
  yield END_MARK;
}

async function* measured(digest: Digest, size: number, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let given = 0;
  for await (const chunk of body) {
    given += chunk.length;
    if (given > size) break;
    yield chunk;
  }
  // An archive that goes on would name everything after it wrong.
  if (given !== size) throw new Error(`${digest} has not the ${size} bytes that it should have`);
}

function directoriesOf(contents: readonly ArchivedContent[]): string[] {
  const algorithms = new Set(contents.map(({ digest }) => algorithmOf(digest)));
  // A layout has the directory even where it is empty, as in a bundle that brings nothing new.
  return ['blobs', ...[...algorithms.add('sha256')].sort().map((algorithm) => `blobs/${algorithm}`)];
}

function sizeOf(documents: BundlePlan['documents'], contents: readonly ArchivedContent[]): number {
  const documentBytes = documents.map(({ path, body }) => storedBytes(path, body.length));
  const contentBytes = contents.map(({ digest, size }) => storedBytes(blobPath(digest), size));
  const directoryBytes = directoriesOf(contents).map((path) => directoryHead(path).length);
  return [...documentBytes, ...directoryBytes, ...contentBytes].reduce(
    (sum, bytes) => sum + bytes,
    END_MARK.length,
  );
}

function encode(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}
