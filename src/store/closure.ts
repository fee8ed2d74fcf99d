/** Owns what belongs to an image: everything that its manifest names, directly or through other manifests. */
import type { Digest } from '../oci/digest.ts';
import type { Catalog, LinkRow } from './catalog.ts';

/** Nobody nests deeper; a hostile manifest could. */
const MAX_DEPTH = 4;

/** What a manifest needs, each digest once; foreign layers are kept elsewhere and never here. */
export function closureOf(digest: Digest, catalog: Catalog): LinkRow[] {
  const found = new Map<Digest, LinkRow>();
  const walk = (parent: Digest, depth: number): void => {
    for (const link of catalog.links(parent)) {
      if (link.isForeign || found.has(link.child)) continue;
      found.set(link.child, link);
      if (link.role === 'manifest' && depth < MAX_DEPTH) walk(link.child, depth + 1);
    }
  };
  walk(digest, 1);
  return [...found.values()];
}
