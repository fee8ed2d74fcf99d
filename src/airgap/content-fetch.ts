/** Owns bringing the content of an image into the store: what is not here is downloaded, some at a time. */

import { repositoryOf } from '../mirror/place.ts';
import type { Digest } from '../oci/digest.ts';
import type { ArchivedContent } from './archive-content.ts';
import type { ImageInWork } from './image-in-work.ts';
import { patiently } from './patience.ts';

/** Layers of one image at a time, as Docker has it. */
const LAYERS_AT_ONCE = 3;
/** Content that is gone when the rest has come is fetched again, once. */
const ROUNDS = 2;

/** @throws Error where something cannot be had or kept; the others are fetched all the same */
export async function fetchContents(work: ImageInWork, contents: readonly ArchivedContent[]): Promise<void> {
  const { parts, place } = work;
  for (let round = 1; round <= ROUNDS; round++) {
    await fetchMissing(work, contents);
    const missing: Digest[] = [];
    for (const { digest } of contents) if (!(await parts.store.isStored(digest))) missing.push(digest);
    if (missing.length === 0) return;
  }
  throw new Error(
    `${place.text}: the store could not keep all of it: files were damaged or removed meanwhile, or the disk is full; see the log`,
  );
}

async function fetchMissing(work: ImageInWork, contents: readonly ArchivedContent[]): Promise<void> {
  const { parts, place, tally, signal } = work;
  const isHere = ({ digest }: ArchivedContent): boolean =>
    parts.store.sizeOf(digest) !== undefined && parts.catalog.holds(repositoryOf(place), digest);
  const waiting = contents.filter((content) => !isHere(content));
  let failure: unknown;
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !signal.aborted; next = waiting.shift()) {
      try {
        await fetchOne(work, next);
        tally.came(next.digest);
      } catch (error) {
        failure ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: LAYERS_AT_ONCE }, worker));
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
}

async function fetchOne(work: ImageInWork, { digest, kind }: ArchivedContent): Promise<void> {
  const { parts, place, signal, sinceMs } = work;
  if (kind === 'manifest') {
    await patiently(work, () => parts.manifests.obtain(place, { kind: 'digest', digest }, sinceMs));
    return;
  }
  const { source, reader, ended } = await patiently(work, () => parts.blobs.resume({ ...place, digest }));
  reader.close(); // a download goes on without readers
  if (source === 'store') return;
  if (source === 'bypass') {
    throw new Error(
      `${place.text}: the store has no room for ${digest}: give it more (storage.maxSize), or unpin something`,
    );
  }
  const result = await unlessAborted(ended, signal);
  if (result !== 'stored')
    throw new Error(`${place.text}: the download of ${digest} ${REASONS[String(result)] ?? 'failed'}`);
}

const REASONS: Readonly<Record<string, string>> = {
  unstored: 'could not be stored: the disk is full or refuses; see the log',
  mismatch: 'brought something else: the registry, or the way to it, is broken',
  failed: 'broke and could not be resumed: the registry, or the way to it, is down; run this again later',
  stopped: 'was stopped: hubcap ends',
};

async function unlessAborted<T>(work: Promise<T> | undefined, signal: AbortSignal): Promise<T | undefined> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort); // it outlives the layer: listeners would gather
  }
}
