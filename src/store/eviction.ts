/** Owns the order in which things go to make room. */
import type { Digest } from '../oci/digest.ts';
import type { Aside } from './aside.ts';
import type { ContentIndex } from './content-index.ts';
import { StorageError } from './errors.ts';
import { sizeOnDisk } from './ledger.ts';
import type { Partials } from './partials.ts';

export interface EvictionParts {
  aside: Aside;
  partials: Partials;
  index: ContentIndex;
  now: () => number;
  /** throws StorageError, which has been told */
  remove: (digest: Digest) => Promise<number>;
}

const EVICTION_BATCH = 64;
/** A download that nobody has gone on with for this long is worth less than any content. */
const PARTIAL_AGE_MS = 24 * 3600 * 1000;

/**
 * What was set aside goes first, then an abandoned download that has become old, then content by last use, then any
 * abandoned download.
 * @param bytes on disk that are wanted
 * @returns what was taken; 0 where nothing is left to take
 */
export async function evict(parts: EvictionParts, bytes: number): Promise<number> {
  const { aside, partials, now } = parts;
  let freed = 0;
  while (freed < bytes) {
    const taken = await aside.discardOldest();
    if (taken === undefined) break;
    freed += taken;
  }
  if (freed < bytes) freed += await partials.discardOldest(now() - PARTIAL_AGE_MS);
  while (freed < bytes) {
    const taken = await evictBatch(parts, bytes - freed);
    if (taken === 0) break;
    freed += taken;
  }
  return freed > 0 ? freed : await partials.discardOldest(now());
}

async function evictBatch({ index, now, remove }: EvictionParts, bytes: number): Promise<number> {
  let freed = 0;
  for (const { digest, size } of index.leastRecentlyUsed(EVICTION_BATCH)) {
    if (freed >= bytes) break;
    try {
      if ((await remove(digest)) > 0) freed += sizeOnDisk(size);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      index.use(digest, now()); // told to the observer; one file that cannot go must not keep the others
    }
  }
  return freed;
}
