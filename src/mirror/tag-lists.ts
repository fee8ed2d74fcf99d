/** Owns the lists of tags: upstream's, merged from its pages; what the catalog knows where upstream cannot be asked. */
import { parseTag, type Tag } from '../oci/reference.ts';
import { nameUnknown, offlineUnknown } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import type { Catalog } from '../store/catalog.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { Absences } from './absences.ts';
import { cannotSay, toRegistryError, upstreamStatusOf } from './failures.ts';
import { fetchPage, type PageQuestion } from './list-pages.ts';
import type { ListPage } from './list-walk.ts';
import { goingOn, jsonListing, type ListedPage, type Listing } from './listing.ts';
import { type Place, repositoryOf } from './place.ts';
import { type ListRequest, type ListSource, UpstreamLists } from './upstream-lists.ts';

export interface TagListsOptions {
  catalog: Catalog;
  isOffline: () => boolean;
  now: () => number;
}

/** The most that one answer holds, whatever is asked for. */
const MAX_TAGS = 10_000;
const MAX_BYTES = 2 * 1024 * 1024;
/** What upstream is asked for at a time; what it gives may be less. */
const UPSTREAM_PAGE = '1000';

export class TagLists {
  readonly #options: TagListsOptions;
  readonly #lists: UpstreamLists<Tag>;
  readonly #absences: Absences;

  constructor(options: TagListsOptions) {
    this.#options = options;
    this.#lists = new UpstreamLists(options.now);
    this.#absences = new Absences(options.now);
  }

  /** distribution-spec, "Listing Tags". @throws RegistryError */
  async list(place: Place, page: ListedPage): Promise<Listing> {
    const name = `${place.upstream.host}/${place.repository}`;
    const request = { last: page.last, limit: limitOf(page), maxBytes: MAX_BYTES };
    const source = this.#sourceOf(place, name);
    if (this.#options.isOffline()) return this.#offline(place, page, source, request);
    this.#absences.check(name);
    try {
      const answer = await this.#lists.ask(source, request);
      if (!answer) return this.#gone(place, page, name);
      const { entries, next, outcome, upstreamStatus } = answer;
      return { ...listingOf(place, page, entries, next, outcome), upstreamStatus };
    } catch (error) {
      const known = cannotSay(error) ? this.#fromCatalog(place, page, 'stale') : undefined;
      if (known) return { ...known, upstreamStatus: upstreamStatusOf(error) };
      throw toRegistryError(`${name}: its tags`, error, 'NAME_UNKNOWN');
    }
  }

  #gone(place: Place, page: ListedPage, name: string): Listing {
    const { keepDeleted, notFoundTtlMs } = place.upstream;
    const kept = keepDeleted ? this.#fromCatalog(place, page, 'stale') : undefined;
    if (kept) return { ...kept, upstreamStatus: 404 };
    throw this.#absences.remember(name, nameUnknown(name), notFoundTtlMs);
  }

  /** A list that is not whole is all that there is: nobody can be asked for the rest. */
  #offline(place: Place, page: ListedPage, source: ListSource<Tag>, request: ListRequest): Listing {
    const isFresh = this.#lists.isFresh(source, request);
    const answer = this.#lists.recall(source.key, request);
    if (answer) {
      const { entries, next } = answer;
      const rest =
        next === undefined ? undefined : this.#lists.recall(source.key, { ...request, last: next });
      const isCut = next !== undefined && !rest?.entries.length;
      const outcome = isFresh && !isCut ? 'hit' : 'stale';
      return listingOf(place, page, entries, isCut ? undefined : next, outcome);
    }
    const known = this.#fromCatalog(place, page, 'stale');
    if (known) return known;
    throw offlineUnknown(`${source.key}: its tags`, 'NAME_UNKNOWN');
  }

  #fromCatalog(place: Place, page: ListedPage, outcome: Outcome): Listing | undefined {
    const limit = limitOf(page);
    const { catalog } = this.#options;
    const found = catalog.tags(repositoryOf(place), page.last, limit + 1);
    if (found.length === 0 && !this.#isInCatalog(place)) return undefined;
    const tags = found.slice(0, limit);
    return listingOf(place, page, tags, found.length > limit ? tags.at(-1) : undefined, outcome);
  }

  #isInCatalog(place: Place): boolean {
    return this.#options.catalog.tags(repositoryOf(place), '', 1).length > 0;
  }

  #sourceOf(place: Place, name: string): ListSource<Tag> {
    const { host, tagTtlMs, confirmMs } = place.upstream;
    const question = { ...place, kind: 'tags', path: 'tags/list', member: 'tags', read: readTag } as const;
    return {
      key: name,
      host,
      ttlMs: tagTtlMs,
      confirmMs,
      hasOther: this.#isInCatalog(place),
      keyOf: (tag) => tag,
      sizeOf: (tag) => 2 * tag.length,
      query: new URLSearchParams({ n: UPSTREAM_PAGE }).toString(),
      queryAfter: (last) => new URLSearchParams({ n: UPSTREAM_PAGE, last }).toString(),
      fetch: (query, deadlineMs) => fetchAsLarge(question, query, deadlineMs),
    };
  }
}

/** Some refuse a page that is larger than theirs instead of sending a smaller one: they are asked for any size. */
async function fetchAsLarge(
  question: PageQuestion<Tag>,
  query: string,
  deadlineMs: number,
): Promise<ListPage<Tag> | undefined> {
  const endMs = performance.now() + deadlineMs;
  try {
    return await fetchPage(question, query, deadlineMs);
  } catch (error) {
    const parameters = new URLSearchParams(query);
    const isRefusal =
      error instanceof UpstreamError && error.reason === 'bad-answer' && (error.status ?? 0) >= 400;
    if (!isRefusal || parameters.get('n') !== UPSTREAM_PAGE) throw error;
    parameters.delete('n');
    return await fetchPage(
      question,
      parameters.toString(),
      Math.max(1, Math.ceil(endMs - performance.now())),
    );
  }
}

function readTag(value: unknown): Tag | undefined {
  return typeof value === 'string' ? parseTag(value) : undefined;
}

function limitOf({ n }: ListedPage): number {
  return Math.min(n ?? MAX_TAGS, MAX_TAGS);
}

function listingOf(
  { repository }: Place,
  { n }: ListedPage,
  tags: readonly string[],
  next: string | undefined,
  outcome: Outcome,
): Listing {
  return jsonListing({ name: repository, tags }, goingOn(n, next), outcome);
}
