/** Owns what earlier bundles brought: the next one leaves that out. */
import { ArchiveError } from '../airgap/archives/archive-error.ts';
import { MAX_ENTRIES } from '../airgap/archives/read-archive.ts';
import { knownDigests, scanArchive } from '../airgap/archives/scan-archive.ts';
import type { Digest } from '../oci/digest.ts';
import { explainReading } from './archive-source.ts';
import { ReportedError } from './reported-error.ts';

/** No bundle that anybody carries is larger. */
const LIMITS = { maxBytes: 64 * 1024 ** 4, maxEntries: MAX_ENTRIES };

/**
 * @param paths bundles or other archives of images
 * @returns what they carry and what they need themselves: whoever imports them in order has all of it
 * @throws ReportedError where one cannot be read
 */
export async function readEarlier(paths: readonly string[], signal: AbortSignal): Promise<Digest[]> {
  const known = new Set<Digest>();
  for (const path of paths) {
    signal.throwIfAborted();
    for (const digest of await readOne(path)) known.add(digest);
  }
  return [...known];
}

async function readOne(path: string): Promise<Set<Digest>> {
  try {
    return knownDigests([await scanArchive(path, LIMITS)]);
  } catch (error) {
    if (error instanceof ArchiveError) throw new ReportedError(`--since ${path}: ${error.message}`, error);
    throw explainReading(error, path);
  }
}
