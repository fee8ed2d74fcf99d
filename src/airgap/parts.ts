/** Owns the list of what the air gap's rooms work with: made once, where everything is constructed. */
import type { Blobs } from '../mirror/blobs.ts';
import type { Listings } from '../mirror/listings.ts';
import type { ManifestCache } from '../mirror/manifest-cache.ts';
import type { Manifests } from '../mirror/manifests.ts';
import type { UpstreamTable } from '../mirror/mirrored-upstream.ts';
import type { Permission } from '../mirror/permission.ts';
import type { Place } from '../mirror/place.ts';
import type { Visibility } from '../mirror/visibility.ts';
import { type FullImageName, fullNameText, parseFullName } from '../oci/image-name.ts';
import { type PlatformChoice, parsePlatform } from '../oci/platform.ts';
import { RefusedError } from '../refused-error.ts';
import type { Catalog } from '../store/catalog.ts';
import type { DiskStore } from '../store/disk-store.ts';
import type { Fills } from '../store/fills.ts';
import type { Intake } from '../store/intake.ts';
import type { Pins } from '../store/pins.ts';
import type { ClosureSources } from './chosen-closure.ts';

export interface AirgapParts {
  upstreams: Pick<UpstreamTable, 'named' | 'all'>;
  manifests: Manifests;
  blobs: Blobs;
  listings: Listings;
  visibility: Visibility;
  permission: Permission;
  cache: ManifestCache;
  catalog: Catalog;
  store: DiskStore;
  fills: Fills;
  intake: Intake;
  pins: Pins;
  isOffline: () => boolean;
  now: () => number;
}

export interface NamedPlace extends Place {
  name: FullImageName;
  /** in full, as everybody is told it */
  text: string;
}

/** @throws RefusedError where the text is no name, or its upstream is not configured */
export function placeOf(text: string, upstreams: Pick<UpstreamTable, 'named'>): NamedPlace {
  const name = parseFullName(text);
  if (!name) throw new RefusedError(400, `${text} is no image name such as alpine or ghcr.io/owner/app:1.2`);
  const upstream = upstreams.named(name.host);
  if (!upstream) {
    throw new RefusedError(
      404,
      `${fullNameText(name)}: ${name.host} is no upstream of this hubcap; add it to the configuration (upstreams: { ${name.host}: {} })`,
    );
  }
  const full = { ...name, host: upstream.host };
  return { upstream, repository: name.repository, name: full, text: fullNameText(full) };
}

/** @param reference a tag or a digest. @returns the name in full, of what the catalog knows */
export function storedName(upstream: string, repository: string, reference: string): string {
  return `${upstream}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`;
}

/** @throws RefusedError where one is no platform */
export function choiceOf(platforms: 'all' | readonly string[]): PlatformChoice {
  if (platforms === 'all') return platforms;
  return platforms.map((text) => {
    const platform = parsePlatform(text);
    if (!platform) throw new RefusedError(400, `${text} is no platform such as linux/amd64 or linux/arm/v7`);
    return platform;
  });
}

export function closureSources({ catalog, store }: Pick<AirgapParts, 'catalog' | 'store'>): ClosureSources {
  return { catalog, sizeOf: (digest) => store.sizeOf(digest) };
}
