/** Owns lists as clients ask for them: the tags of a repository, the referrers of a digest, the repositories held. */
import type { Digest } from '../oci/digest.ts';
import { parseRepository } from '../oci/reference.ts';
import { readReferrers } from '../oci/referrer.ts';
import type { Catalog } from '../store/catalog.ts';
import { goingOn, jsonListing, type ListedPage, type Listing } from './listing.ts';
import type { ManifestCache } from './manifest-cache.ts';
import type { Manifests } from './manifests.ts';
import type { UpstreamTable } from './mirrored-upstream.ts';
import type { Place } from './place.ts';
import { type ReferrerQuestion, Referrers } from './referrers.ts';
import { TagLists } from './tag-lists.ts';
import type { Visibility } from './visibility.ts';
import type { Wish } from './wish.ts';

export interface ListingsOptions {
  upstreams: Pick<UpstreamTable, 'named'>;
  catalog: Catalog;
  cache: ManifestCache;
  manifests: Pick<Manifests, 'get'>;
  visibility: Visibility;
  isOffline: () => boolean;
  now: () => number;
}

/** What a client gets that does not say how many repositories it wants, and the most that it can ask for. */
const MAX_REPOSITORIES = 1000;
const CATALOG_PAGE = 1000;

export class Listings {
  readonly #options: ListingsOptions;
  readonly #tags: TagLists;
  readonly #referrers: Referrers;

  constructor(options: ListingsOptions) {
    this.#options = options;
    this.#tags = new TagLists(options);
    this.#referrers = new Referrers(options);
  }

  /** distribution-spec, "Listing Tags". @throws RegistryError */
  async tags(place: Place, page: ListedPage): Promise<Listing> {
    const wish = (): Wish => ({ kind: 'tags', path: 'tags/list' });
    return await this.#options.visibility.during(place, wish, () => this.#tags.list(place, page));
  }

  /** distribution-spec, "Listing Referrers". @throws RegistryError */
  async referrers(place: Place, digest: Digest, question: ReferrerQuestion): Promise<Listing> {
    const wish = (): Wish => ({ kind: 'referrers', path: `referrers/${digest}` });
    const list = (): Promise<Listing> => this.#referrers.list(place, digest, question);
    return await this.#options.visibility.during(place, wish, list);
  }

  /**
   * As `referrers`, whole and for nobody: it does not matter whether the repository is for everybody.
   * @returns digests, up to `limit`
   * @throws RegistryError
   */
  async referrersOf(place: Place, digest: Digest, limit: number): Promise<Digest[]> {
    const found: Digest[] = [];
    for (let last: string | null | undefined = ''; typeof last === 'string' && found.length < limit; ) {
      const { body, next } = await this.#referrers.list(place, digest, { artifactType: undefined, last });
      found.push(...(readReferrers(body) ?? []).map((referrer) => referrer.digest));
      last = next?.get('last');
    }
    return found.slice(0, limit);
  }

  /** The repositories of which hubcap holds something that it would serve, as a path that it serves them under. */
  repositories({ n, last }: ListedPage): Listing {
    const limit = Math.min(n ?? MAX_REPOSITORIES, MAX_REPOSITORIES);
    const served: string[] = [];
    for (const path of this.#held(last)) {
      if (served.length > limit) break;
      if (this.#isServed(path)) served.push(path);
    }
    // Who goes on does so after a name that was given: that of a private repository tells that it exists.
    const repositories = served.slice(0, limit);
    const next = served.length > limit ? repositories.at(-1) : undefined;
    return jsonListing({ repositories }, goingOn(n ?? limit, next), 'hit');
  }

  /** Bounded by the store: each holds something that is there. */
  *#held(after: string): Generator<string> {
    for (let last: string | undefined = after; last !== undefined; ) {
      const page = this.#options.catalog.repositories(last, CATALOG_PAGE);
      yield* page;
      last = page.length < CATALOG_PAGE ? undefined : page.at(-1);
    }
  }

  /** An upstream that is not configured any more is not served, nor a repository that is private. */
  #isServed(path: string): boolean {
    const slash = path.indexOf('/');
    const upstream = this.#options.upstreams.named(path.slice(0, slash));
    const repository = parseRepository(path.slice(slash + 1));
    // A name that was an upstream's may be an alias by now: what is held under it is not that other one's.
    if (!upstream || !repository || upstream.host !== path.slice(0, slash)) return false;
    return this.#options.visibility.isServable({ upstream, repository });
  }
}
