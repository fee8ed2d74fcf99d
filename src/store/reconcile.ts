/** Owns the comparison of the catalog with the files, in the background after a start. */
import { readdir, stat } from 'node:fs/promises';
import { type DigestAlgorithm, parseDigest } from '../oci/digest.ts';
import type { ContentIndex } from './content-index.ts';
import type { DiskStore } from './disk-store.ts';
import { isMissing, type Layout } from './layout.ts';

export interface ReconcileReport {
  /** files that the catalog did not know */
  adopted: number;
  /** rows without a file */
  forgotten: number;
  /** files that are no blobs; left where they are */
  unknown: number;
}

const ALGORITHMS: readonly DigestAlgorithm[] = ['sha256', 'sha512'];

/**
 * Walks the store one directory (1/256 of it) at a time, so that memory does not grow with the store.
 * What happens meanwhile is looked at again before anything is changed.
 * @throws what the file system says, or the reason of `signal`
 */
export async function reconcile(
  parts: { layout: Layout; index: ContentIndex; store: DiskStore },
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const report: ReconcileReport = { adopted: 0, forgotten: 0, unknown: 0 };
  for (const algorithm of ALGORITHMS) {
    for (let shard = 0; shard < 256; shard++) {
      signal.throwIfAborted();
      await reconcileShard(parts, algorithm, shard.toString(16).padStart(2, '0'), report);
    }
  }
  return report;
}

async function reconcileShard(
  { layout, index, store }: { layout: Layout; index: ContentIndex; store: DiskStore },
  algorithm: DigestAlgorithm,
  prefix: string,
  report: ReconcileReport,
): Promise<void> {
  const names = new Set(await namesIn(layout.shard(algorithm, prefix)));
  for (const { digest } of index.withPrefix(`${algorithm}:${prefix}`)) {
    if (names.delete(digest.slice(7)) || (await sizeOfFile(layout.blob(digest))) !== undefined) continue;
    await store.remove(digest, 'missing');
    report.forgotten += 1;
  }
  for (const name of names) {
    const digest = parseDigest(`${algorithm}:${name}`);
    if (!digest) report.unknown += 1;
    const size = digest && (await sizeOfFile(layout.blob(digest)));
    if (!digest || size === undefined || store.sizeOf(digest) !== undefined) continue;
    store.adopt(digest, size);
    report.adopted += 1;
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function sizeOfFile(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
