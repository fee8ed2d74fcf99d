/** Owns giving pinned images their names again where the catalog was lost: what is here can be pulled without upstream. */

import type { Digest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { parseTag } from '../oci/reference.ts';
import type { SavedPin } from '../store/pins-copy.ts';
import type { AirgapParts } from './parts.ts';

type NamingParts = Pick<AirgapParts, 'catalog' | 'store' | 'cache' | 'pins'>;

/**
 * To be called when the files are known again. What is not here as a whole is left to whoever completes pins.
 * @returns how many images have their names again
 * @throws StorageError
 */
export async function restoreNames(saved: readonly SavedPin[], parts: NamingParts): Promise<number> {
  let restored = 0;
  for (const pin of saved) if (await restoreName(pin, parts)) restored += 1;
  return restored;
}

async function restoreName(
  { repository, reference, digest, contents, pinnedAtMs, publicAtMs }: SavedPin,
  parts: NamingParts,
): Promise<boolean> {
  const { catalog, store, cache, pins } = parts;
  const isPinned = pins.of(repository, reference).some((pin) => pin.digest === digest);
  if (!isPinned) return false; // not any more
  for (const content of contents) if (!(await store.isStored(content.digest))) return false;
  await relearn(digest, contents, parts);
  const manifest = await cache.get(digest);
  if (!manifest) return false;
  const named = parseTag(reference);
  // Whoever has asked since the start has been told what the tag is now.
  const tag = named && catalog.tag(repository, named) === undefined ? named : undefined;
  const image = {
    repository,
    tag,
    digest,
    mediaType: manifest.mediaType,
    size: manifest.body.length,
    contents: contents.map((content) => content.digest),
  };
  // As of then: upstream is asked to confirm it where it can be.
  catalog.adopt([image], pinnedAtMs, publicAtMs);
  return true;
}

/** What manifests name is in the catalog again once they are read: of the image, then of what refers to it. */
async function relearn(
  root: Digest,
  contents: SavedPin['contents'],
  { catalog, cache }: Pick<AirgapParts, 'catalog' | 'cache'>,
): Promise<void> {
  const own = new Set(contents.map(({ digest }) => digest));
  const seen = new Set<Digest>();
  const visit = async (digest: Digest): Promise<void> => {
    if (seen.has(digest) || !own.has(digest)) return;
    seen.add(digest);
    if (!(await cache.get(digest))) return;
    for (const { child, role } of catalog.links(digest)) {
      if (role === 'manifest') await visit(child);
      else seen.add(child);
    }
  };
  await visit(root);
  for (const { digest, size } of contents) if (size <= MAX_MANIFEST_BYTES) await visit(digest);
}
