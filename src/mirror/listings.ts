/** Owns lists: the tags of a repository, the referrers of a digest, the repositories that hubcap holds. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import { OCI_INDEX } from '../oci/media-types.ts';
import type { Repository } from '../oci/reference.ts';
import { nameUnknown, unavailable } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Catalog } from '../store/catalog.ts';
import type { UpstreamRequestKind } from '../upstream/asker.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { Absences } from './absences.ts';
import { cannotSay, toRegistryError } from './failures.ts';
import type { MirroredUpstream } from './mirrored-upstream.ts';
import type { Visibility } from './visibility.ts';

export interface ListingPlace {
  upstream: MirroredUpstream;
  repository: Repository;
}

export interface Listing {
  outcome: Outcome;
  body: Buffer;
  mediaType: string;
  /** the query of the next page, undefined on the last */
  next: string | undefined;
}

export interface ListingsOptions {
  catalog: Catalog;
  visibility: Visibility;
  isOffline: () => boolean;
  now: () => number;
}

const MAX_MEMORY_BYTES = 16 * 1024 * 1024;
/** What a client gets that does not say how many it wants, and the most that it can ask for. */
const DEFAULT_PAGE = 1000;

export class Listings {
  readonly #options: ListingsOptions;
  readonly #known = new LRUCache<string, { listing: Listing; untilMs: number }>({
    maxSize: MAX_MEMORY_BYTES,
    sizeCalculation: ({ listing }) => listing.body.length + 512,
  });
  readonly #asking = new SingleFlight<Listing>();
  readonly #absences: Absences;

  constructor(options: ListingsOptions) {
    this.#options = options;
    this.#absences = new Absences(options.now);
  }

  /** distribution-spec, "Listing Tags": upstream's page; from the catalog where upstream cannot be asked. */
  async tags(place: ListingPlace, page: { n: number | undefined; last: string }): Promise<Listing> {
    const query = new URLSearchParams();
    if (page.n !== undefined) query.set('n', String(page.n));
    if (page.last !== '') query.set('last', page.last);
    const path = query.size > 0 ? `tags/list?${query}` : 'tags/list';
    try {
      return await this.#fromUpstream(place, 'tags', path, 'application/json');
    } catch (error) {
      const known =
        cannotSay(error) || this.#options.isOffline() ? this.#tagsFromCatalog(place, page) : undefined;
      if (known) return known;
      throw error;
    }
  }

  /** distribution-spec, "Listing Referrers": upstream's page, or its 404 that sends a client to the tag schema. */
  async referrers(place: ListingPlace, digest: Digest, artifactType: string | undefined): Promise<Listing> {
    const query = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`;
    return await this.#fromUpstream(place, 'referrers', `referrers/${digest}${query}`, OCI_INDEX);
  }

  /** The repositories of which hubcap holds something, as a path that it serves them under. */
  repositories(page: { n: number | undefined; last: string }): Listing {
    const limit = Math.min(page.n ?? DEFAULT_PAGE, DEFAULT_PAGE);
    const found = this.#options.catalog.repositories(page.last, limit + 1);
    const repositories = found.slice(0, limit);
    return listing({ repositories }, found.length > limit ? repositories.at(-1) : undefined, limit, 'hit');
  }

  async #fromUpstream(
    place: ListingPlace,
    kind: Extract<UpstreamRequestKind, 'tags' | 'referrers'>,
    path: string,
    mediaType: string,
  ): Promise<Listing> {
    const { isOffline, now } = this.#options;
    const { upstream, repository } = place;
    const key = `${upstream.host}/${repository}/${path}`;
    const known = this.#known.get(key);
    if (known && (now() < known.untilMs || isOffline())) return { ...known.listing, outcome: 'hit' };
    if (isOffline()) throw unavailable(`${key}: hubcap is offline and has not seen this list`, 503, 60);
    this.#absences.check(key);
    try {
      const { result, joined } = this.#asking.run(key, async () => {
        const page = await upstream.client.page(kind, repository, path);
        if (!page) throw this.#absences.remember(key, nameUnknown(key), upstream.notFoundTtlMs);
        if (!isListing(page.body, kind)) throw badListing(key, upstream.host);
        const answer: Listing = {
          outcome: 'miss',
          body: page.body,
          mediaType,
          next: page.link?.match(/<[^>?]*\?([^>]*)>\s*;\s*rel="?next"?/)?.[1],
        };
        this.#known.set(key, { listing: answer, untilMs: now() + upstream.tagTtlMs });
        return answer;
      });
      const answer = await result;
      return joined ? { ...answer, outcome: 'coalesced' } : answer;
    } catch (error) {
      if (known && cannotSay(error)) return { ...known.listing, outcome: 'stale' };
      throw toRegistryError(key, error);
    }
  }

  #tagsFromCatalog(
    { upstream, repository }: ListingPlace,
    page: { n: number | undefined; last: string },
  ): Listing | undefined {
    const limit = Math.min(page.n ?? DEFAULT_PAGE, DEFAULT_PAGE);
    const found = this.#options.catalog.tags(
      { upstream: upstream.host, name: repository },
      page.last,
      limit + 1,
    );
    if (found.length === 0) return undefined;
    const tags = found.slice(0, limit);
    return listing(
      { name: repository, tags },
      found.length > limit ? tags.at(-1) : undefined,
      limit,
      'stale',
    );
  }
}

/** What a client is given is what it asked for: a page of HTML with status 200 is no list. */
function isListing(body: Buffer, kind: 'tags' | 'referrers'): boolean {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && (kind === 'tags' ? 'tags' : 'manifests') in value;
  } catch {
    return false; // the caller says so with the URL
  }
}

function badListing(key: string, host: string): UpstreamError {
  return new UpstreamError(`${key}: what ${host} sent is no list`, { reason: 'bad-answer', host });
}

function listing(
  content: Record<string, unknown>,
  last: string | undefined,
  n: number,
  outcome: Outcome,
): Listing {
  return {
    outcome,
    body: Buffer.from(`${JSON.stringify(content)}\n`),
    mediaType: 'application/json',
    next: last === undefined ? undefined : new URLSearchParams({ n: String(n), last }).toString(),
  };
}
