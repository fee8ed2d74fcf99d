/** Owns an import: an archive's content comes into the store, and then, all at once, its images have names. */
import { setTimeout as wait } from 'node:timers/promises';

import { parseDigest } from '../oci/digest.ts';
import { RefusedError } from '../refused-error.ts';
import type { StoredContent } from '../store/content-index.ts';
import { DigestMismatchError, NoRoomError, StorageError } from '../store/errors.ts';
import { sizeOnDisk } from '../store/ledger.ts';
import type { Hold } from '../store/pins.ts';
import { formatBytes } from '../units.ts';
import { adoptImages } from './adoption.ts';
import type { ArchivedImage } from './archive-content.ts';
import { ArchiveError } from './archives/archive-error.ts';
import { expectBase } from './archives/bundle-images.ts';
import { MAX_ENTRIES, readArchive } from './archives/read-archive.ts';
import { type ReadImages, readImages } from './archives/read-images.ts';
import type { CarriedContent, ImportEvent, ImportedImage, ImportRequest } from './commands.ts';
import { EventQueue } from './event-queue.ts';
import { type NamedImage, nameImages } from './import-names.ts';
import type { AirgapParts } from './parts.ts';
import { explainBudget } from './pinning.ts';
import { drySink, type ImportSink, storeSink } from './store-sink.ts';

const PROGRESS_INTERVAL_MS = 250;

/**
 * @param archive read to its end; whoever sends it ends it early to have nothing imported
 * @returns what happens; ends with `report` or `refused`. It goes on only while it is read
 */
export async function* importArchive(
  request: ImportRequest,
  archive: AsyncIterable<Buffer>,
  parts: AirgapParts,
): AsyncGenerator<ImportEvent> {
  const events = new EventQueue<ImportEvent>();
  const stop = new AbortController();
  let bytes = 0;
  const progress = (): ImportEvent => ({ kind: 'progress', bytes, totalBytes: request.bytes });
  const read = counted(archive, stop.signal, (more) => {
    bytes += more;
  });
  const sending = { archive: read, signal: stop.signal };
  const working = work(request, sending, parts, (event) => events.push(event)).finally(() => events.end());
  working.catch(() => undefined); // told below
  const beat = setInterval(() => events.offer(progress()), PROGRESS_INTERVAL_MS);
  try {
    yield progress();
    yield* events.read();
    await working;
  } finally {
    clearInterval(beat);
    stop.abort(new Error('nobody waits for the import any more'));
    await Promise.race([working.catch(() => undefined), wait(5_000, undefined, { ref: false })]);
  }
}

async function* counted(
  archive: AsyncIterable<Buffer>,
  signal: AbortSignal,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of archive) {
    signal.throwIfAborted();
    count(chunk.length);
    yield chunk;
  }
  signal.throwIfAborted();
}

type Tell = (event: ImportEvent) => void;

interface Sending {
  archive: AsyncIterable<Buffer>;
  /** whoever sends it has left */
  signal: AbortSignal;
}

async function work(request: ImportRequest, sending: Sending, parts: AirgapParts, tell: Tell): Promise<void> {
  const hold = parts.pins.hold();
  const sink = request.isDryRun ? drySink(parts) : storeSink(parts, hold);
  let told: ImportEvent[];
  try {
    told = await takeIn(request, sending, sink, hold, parts);
  } catch (error) {
    if (!request.isDryRun) await forget(sink, hold, parts);
    told = [{ kind: 'refused', message: explain(error) }];
  } finally {
    await hold.release();
  }
  for (const event of told) tell(event);
}

/** @returns what is to be told in the end. @throws where nothing has a name then */
async function takeIn(
  request: ImportRequest,
  { archive, signal }: Sending,
  sink: ImportSink,
  hold: Hold,
  parts: AirgapParts,
): Promise<ImportEvent[]> {
  refuseLarge(request.bytes, parts);
  const found = await read(request, archive, sink, hold, parts);
  const images = nameImages(found.images, request.as, parts.upstreams);
  if (!request.isDryRun) await adoptImages(images, { ...request, signal }, hold, parts);
  return [
    ...found.notes.map((message) => ({ kind: 'note', message }) as const),
    ...images.map((image) => ({ kind: 'image', ...describe(image, sink, request) }) as const),
    report(found, sink),
  ];
}

async function read(
  request: ImportRequest,
  archive: AsyncIterable<Buffer>,
  sink: ImportSink,
  hold: Hold,
  parts: AirgapParts,
): Promise<ReadImages> {
  const { ledger } = parts.store;
  // What is packed may be a thousand times as large unpacked: more than the store holds is no archive for it.
  const limits = { maxBytes: 2 * ledger.maxBytes + 1024 ** 3, maxEntries: MAX_ENTRIES };
  return await readImages(readArchive(archive, limits), sink, {
    onBundle: (bundle) => {
      const { images, requires, totalBytes } = bundle;
      refuseLarge(totalBytes, parts);
      if (!request.isDryRun) hold.add(storedOf(requires, parts), true); // at once: they may be ten thousands
      expectBase(bundle, sink);
      nameImages(images, request.as, parts.upstreams);
      if (request.isPinning) explainBudget(() => parts.pins.check(requires));
    },
  });
}

/**
 * Before the archive is sent, and anything is evicted for what cannot stay.
 * @param contents what it carries, by its own word
 * @throws RefusedError where that has no room beside what is pinned
 */
export function refuseWithoutRoom(
  contents: readonly CarriedContent[],
  { pins }: Pick<AirgapParts, 'pins'>,
): void {
  const known = contents.flatMap(({ digest: text, size }) => {
    const digest = parseDigest(text);
    return digest ? [{ digest, size }] : [];
  });
  explainBudget(() => pins.check(known));
}

function storedOf(contents: readonly StoredContent[], { store }: AirgapParts): StoredContent[] {
  return contents.flatMap(({ digest }) => {
    const size = store.sizeOf(digest);
    return size === undefined ? [] : { digest, size };
  });
}

/** Before anything is evicted for what cannot stay. */
function refuseLarge(bytes: number | undefined, { store }: AirgapParts): void {
  const { maxBytes } = store.ledger;
  if (bytes === undefined || sizeOnDisk(bytes) <= maxBytes) return;
  throw new RefusedError(
    409,
    `the archive has ${formatBytes(bytes)} of content, and the store holds ${formatBytes(maxBytes)}: give it more room (storage.maxSize)`,
  );
}

/** What came for nothing goes again: a refused archive leaves the store as it was. */
async function forget(sink: ImportSink, hold: Hold, { store, catalog, pins }: AirgapParts): Promise<void> {
  await hold.release();
  for (const digest of sink.added) {
    if (pins.names(digest) || catalog.holders(digest, 1).length > 0) continue;
    await store.remove(digest, 'requested').catch((error: unknown) => {
      if (!(error instanceof StorageError)) throw error; // the store has told its observer: eviction takes it
    });
  }
}

function describe(
  { place, image }: NamedImage,
  { added }: ImportSink,
  request: ImportRequest,
): ImportedImage {
  const bytesOf = (contents: ArchivedImage['contents']): number =>
    contents.reduce((sum, { size }) => sum + size, 0);
  return {
    reference: place.text,
    digest: image.digest,
    platforms: image.platforms,
    bytes: bytesOf(image.contents),
    newBytes: bytesOf(image.contents.filter(({ digest }) => added.has(digest))),
    referrers: image.referrers.length,
    isMade: image.isMade,
    isPinned: request.isPinning && !request.isDryRun,
  };
}

function report({ kind, images, requires }: ReadImages, { added }: ImportSink): ImportEvent {
  const contents = new Map(
    images.flatMap((image) => image.contents).map((content) => [content.digest, content]),
  );
  const bytesOf = (all: Iterable<{ size: number }>): number =>
    [...all].reduce((sum, { size }) => sum + size, 0);
  return {
    kind: 'report',
    archive: kind,
    images: images.length,
    bytes: bytesOf(contents.values()),
    newBytes: bytesOf([...contents.values()].filter(({ digest }) => added.has(digest))),
    required: { objects: requires.length, bytes: bytesOf(requires) },
  };
}

/** @throws what is no fault of the archive and no matter of room */
function explain(error: unknown): string {
  if (error instanceof ArchiveError || error instanceof RefusedError) return error.message;
  if (error instanceof DigestMismatchError) return `the archive is damaged: ${error.message}`;
  if (error instanceof NoRoomError)
    return 'the store has no room for it: give it more (storage.maxSize), or unpin something';
  if (error instanceof StorageError) return `the disk refuses: ${error.message}`;
  throw error;
}
