/** Owns a look at an archive before it is imported, or left out of the next bundle: what it carries and needs. */
import { open } from 'node:fs/promises';
import type { Digest } from '../../oci/digest.ts';
import type { ArchivedContent } from '../archive-content.ts';
import { digestOfPath } from './blob-path.ts';
import { BUNDLE_INDEX, type BundleIndex, parseBundleIndex } from './bundle-index.ts';
import { FileReader, readFully } from './byte-reader.ts';
import { compressionOf, MAGIC_BYTES } from './decompress.ts';
import { collectDocument } from './json-document.ts';
import { type ArchiveEntry, type ArchiveLimits, readArchive, readTar } from './read-archive.ts';

/** Reads of 64 KiB, as streams do without being told, cost four times the time of these. */
const STREAM_BYTES = 1024 * 1024;

export interface ArchiveScan {
  /** what a bundle says about itself; undefined for archives of others */
  bundle: BundleIndex | undefined;
  /** the size in bytes of all content that has a digest for a name. It is not proven: that takes an import */
  carried: Map<Digest, number>;
  /** what earlier bundles must have brought */
  requires: ArchivedContent[];
  /** of content, also of such that has no digest for a name */
  contentBytes: number;
}

/**
 * Looks through an archive. In a plain file the content is seeked over; a stream is read to its end.
 * @param from the path of a file, or a stream
 * @throws ArchiveError as `readArchive`; what the file system says
 */
export async function scanArchive(
  from: string | AsyncIterable<Buffer>,
  limits: ArchiveLimits,
): Promise<ArchiveScan> {
  if (typeof from !== 'string') return scanEntries(readArchive(from, limits));
  await using file = await open(from, 'r');
  const stat = await file.stat();
  const bytes = new FileReader(file, stat.size);
  // A pipe cannot seek, and what is compressed has to be unpacked.
  if (stat.isFile() && compressionOf(await readFully(bytes, MAGIC_BYTES)) === 'none')
    return await scanEntries(readTar(new FileReader(file, stat.size), limits.maxEntries));
  const stream = file.createReadStream({
    ...(stat.isFile() && { start: 0 }),
    autoClose: false,
    highWaterMark: STREAM_BYTES,
  });
  return await scanEntries(readArchive(stream, limits));
}

/** @returns all digests that these archives carry or need: what the next bundle may leave out */
export function knownDigests(scans: readonly ArchiveScan[]): Set<Digest> {
  return new Set(
    scans.flatMap(({ carried, requires }) => [...carried.keys(), ...requires.map(({ digest }) => digest)]),
  );
}

async function scanEntries(entries: AsyncIterable<ArchiveEntry>): Promise<ArchiveScan> {
  const scan: ArchiveScan = { bundle: undefined, carried: new Map(), requires: [], contentBytes: 0 };
  for await (const entry of entries) {
    if (entry.kind !== 'file') continue;
    const { path, size, body } = entry;
    if (path === BUNDLE_INDEX) {
      scan.bundle = parseBundleIndex(await collectDocument(path, size, body));
      scan.requires = scan.bundle.requires;
    } else if (!DOCUMENTS.has(path)) scan.contentBytes += size;
    const digest = digestOfPath(path);
    if (digest) scan.carried.set(digest, size);
  }
  return scan;
}

const DOCUMENTS: ReadonlySet<string> = new Set(['index.json', 'oci-layout', 'manifest.json', 'repositories']);
