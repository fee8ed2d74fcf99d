/** Owns lists as clients ask for them: the tags of a repository, the referrers of a digest, the repositories held. */
import type { Digest } from '../oci/digest.ts';
import type { Catalog } from '../store/catalog.ts';
import { goingOn, jsonListing, type ListedPage, type Listing } from './listing.ts';
import type { ManifestCache } from './manifest-cache.ts';
import type { Manifests } from './manifests.ts';
import type { Place } from './place.ts';
import { type ReferrerQuestion, Referrers } from './referrers.ts';
import { TagLists } from './tag-lists.ts';

export interface ListingsOptions {
  catalog: Catalog;
  cache: ManifestCache;
  manifests: Pick<Manifests, 'get'>;
  isOffline: () => boolean;
  now: () => number;
}

/** What a client gets that does not say how many repositories it wants, and the most that it can ask for. */
const MAX_REPOSITORIES = 1000;

export class Listings {
  readonly #catalog: Catalog;
  readonly #tags: TagLists;
  readonly #referrers: Referrers;

  constructor(options: ListingsOptions) {
    this.#catalog = options.catalog;
    this.#tags = new TagLists(options);
    this.#referrers = new Referrers(options);
  }

  /** distribution-spec, "Listing Tags". @throws RegistryError */
  async tags(place: Place, page: ListedPage): Promise<Listing> {
    return await this.#tags.list(place, page);
  }

  /** distribution-spec, "Listing Referrers". @throws RegistryError */
  async referrers(place: Place, digest: Digest, question: ReferrerQuestion): Promise<Listing> {
    return await this.#referrers.list(place, digest, question);
  }

  /** The repositories of which hubcap holds something, as a path that it serves them under. */
  repositories({ n, last }: ListedPage): Listing {
    const limit = Math.min(n ?? MAX_REPOSITORIES, MAX_REPOSITORIES);
    const found = this.#catalog.repositories(last, limit + 1);
    const repositories = found.slice(0, limit);
    const next = found.length > limit ? repositories.at(-1) : undefined;
    return jsonListing({ repositories }, goingOn(n ?? limit, next), 'hit');
  }
}
