/** Owns the one pass over an archive: content goes to the sink as it comes, documents are kept, the rest is noted. */
import type { Digest } from '../../oci/digest.ts';
import { DigestMismatchError } from '../../store/errors.ts';
import type { ContentSink } from '../archive-content.ts';
import { ArchiveError } from './archive-error.ts';
import { digestOfPath } from './blob-path.ts';
import { BUNDLE_INDEX, type BundleIndex, parseBundleIndex } from './bundle-index.ts';
import { type Compression, compressionOf, MAGIC_BYTES } from './decompress.ts';
import { collectDocument } from './json-document.ts';
import { Notes } from './notes.ts';
import type { ArchiveEntry } from './read-archive.ts';

/** Content of an archive that is in the sink. */
export interface GatheredFile {
  digest: Digest;
  /** bytes */
  size: number;
  compression: Compression;
}

/** What an archive brought. */
export interface Gathered {
  /** by name: `index.json`, `oci-layout`, `manifest.json` */
  documents: ReadonlyMap<string, Buffer>;
  /** by path */
  files: ReadonlyMap<string, GatheredFile>;
  /** where links lead, by path */
  links: ReadonlyMap<string, string>;
  /** what a bundle says about itself */
  bundle: BundleIndex | undefined;
  notes: Notes;
}

export type BundleListener = (index: BundleIndex) => void | Promise<void>;

type FileEntry = Extract<ArchiveEntry, { kind: 'file' }>;

const DOCUMENTS: ReadonlySet<string> = new Set(['index.json', 'oci-layout', 'manifest.json']);
/**
 * What a `manifest.json` may name where there are no `blobs/`: `<id>/layer.tar` and `<hex>.json` of Docker before 25,
 * `<hex>.tar` of podman and skopeo, `<hex>.tar.gz` and `sha256:<hex>` of crane and Bazel. It may come last, so that all of
 * them are taken.
 */
const NAMED_BY_MANIFEST =
  /^(?:[^/]+\/layer\.tar|[^/]+\.(?:tar|tar\.gz|tgz|json)|(?:[^/]+\/)?sha256:[0-9a-f]{64})$/;
/** What the archives of Docker had before version 1.10, and newer ones have beside the rest for it. */
const OBSOLETE = /^(?:repositories|[^/]+\/(?:json|VERSION))$/;

/**
 * Reads an archive to its end.
 * @param onBundle is told what a bundle says about itself before its content comes; what it throws ends the reading
 * @throws ArchiveError where content is not what its name says, or a document is too large; what `entries` and `sink` throw
 */
export async function gather(
  entries: AsyncIterable<ArchiveEntry>,
  sink: ContentSink,
  onBundle: BundleListener | undefined,
): Promise<Gathered> {
  const documents = new Map<string, Buffer>();
  const files = new Map<string, GatheredFile>();
  const links = new Map<string, string>();
  const notes = new Notes();
  let bundle: BundleIndex | undefined;
  let carriedBytes = 0;
  for await (const entry of entries) {
    const { path } = entry;
    if (entry.kind === 'link') links.set(path, entry.target);
    else if (path === BUNDLE_INDEX) {
      bundle = parseBundleIndex(await collectDocument(path, entry.size, entry.body));
      await onBundle?.(bundle);
    } else if (DOCUMENTS.has(path)) documents.set(path, await collectDocument(path, entry.size, entry.body));
    else if (path.startsWith('blobs/')) {
      carriedBytes += entry.size;
      // What was announced may have been let in because it is small.
      if (bundle && carriedBytes > bundle.totalBytes) throw moreThanAnnounced(bundle);
      files.set(path, await putBlob(entry, sink));
    } else if (!bundle && NAMED_BY_MANIFEST.test(path)) files.set(path, await takeFile(entry, sink));
    else if (!OBSOLETE.test(path)) notes.addLeftOut(path, entry.size);
  }
  return { documents, files, links, bundle, notes };
}

function moreThanAnnounced({ totalBytes }: BundleIndex): ArchiveError {
  return new ArchiveError(`announces ${totalBytes} bytes of content, and the archive has more`, BUNDLE_INDEX);
}

async function putBlob(entry: FileEntry, sink: ContentSink): Promise<GatheredFile> {
  const { path, size } = entry;
  const digest = digestOfPath(path);
  if (!digest) throw new ArchiveError('is not named by a digest that hubcap knows (sha256, sha512)', path);
  const known = sink.sizeOf(digest);
  if (known !== undefined && known !== size)
    throw new ArchiveError(`has ${size} bytes, and content of this digest has ${known}`, path);
  const body = new SniffedBody(entry.body);
  if (known === undefined) await refusingMismatch(path, sink.put(digest, size, body));
  else await body.sniff();
  return { digest, size, compression: body.compression };
}

async function takeFile({ size, body: plain }: FileEntry, sink: ContentSink): Promise<GatheredFile> {
  const body = new SniffedBody(plain);
  const digest = await sink.take(size, body);
  return { digest, size, compression: body.compression };
}

async function refusingMismatch(path: string, putting: Promise<void>): Promise<void> {
  try {
    await putting;
  } catch (error) {
    if (!(error instanceof DigestMismatchError)) throw error;
    throw new ArchiveError(`its content is ${error.found}: it is damaged or forged`, path, error);
  }
}

/** A body of which is seen how it is compressed while it is read. */
class SniffedBody implements AsyncIterable<Buffer> {
  readonly #body: AsyncIterable<Buffer>;
  #start: Buffer = Buffer.alloc(0);

  constructor(body: AsyncIterable<Buffer>) {
    this.#body = body;
  }

  get compression(): Compression {
    return compressionOf(this.#start);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    for await (const chunk of this.#body) {
      if (this.#start.length < MAGIC_BYTES)
        this.#start = Buffer.concat([this.#start, chunk.subarray(0, MAGIC_BYTES)]);
      yield chunk;
    }
  }

  /** Reads no more than tells how it is compressed. */
  async sniff(): Promise<void> {
    for await (const _ of this) if (this.#start.length >= MAGIC_BYTES) return;
  }
}
