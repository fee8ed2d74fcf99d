/** Owns how the mirror is put together, for a daemon and for a command without one. */
import { Blobs } from './mirror/blobs.ts';
import { Listings } from './mirror/listings.ts';
import { ManifestCache } from './mirror/manifest-cache.ts';
import { Manifests } from './mirror/manifests.ts';
import type { UpstreamTable } from './mirror/mirrored-upstream.ts';
import { Permission } from './mirror/permission.ts';
import { Visibility } from './mirror/visibility.ts';
import type { DataDirectory } from './store/data-directory.ts';

export interface MirrorFoundation {
  opened: Pick<DataDirectory, 'store' | 'fills' | 'catalog'>;
  upstreams: UpstreamTable;
  isOffline: () => boolean;
  now: () => number;
  /** told when a tag could not be confirmed behind */
  failedBehind: (reference: string, error: unknown) => void;
}

export type Mirror = ReturnType<typeof assembleMirror>;

export function assembleMirror({ opened, upstreams, isOffline, now, failedBehind }: MirrorFoundation) {
  const { store, fills, catalog } = opened;
  const visibility = new Visibility({ catalog, isOffline, now });
  const permission = new Permission({ catalog, visibility, isOffline, now });
  const cache = new ManifestCache(store, catalog);
  const manifests = new Manifests({ catalog, cache, permission, visibility, isOffline, now, failedBehind });
  return {
    visibility,
    permission,
    cache,
    manifests,
    blobs: new Blobs({ store, fills, permission, visibility, isOffline, now }),
    listings: new Listings({ upstreams, catalog, cache, manifests, visibility, isOffline, now }),
  };
}
