/** Owns the lists of referrers: upstream's, those under the tag schema where it has no such list, else what is stored. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import { OCI_INDEX } from '../oci/media-types.ts';
import { parseTag } from '../oci/reference.ts';
import { type Referrer, readReferrer, readReferrers, referrersTag } from '../oci/referrer.ts';
import { isOfflineUnknown, offlineUnknown, RegistryError } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import type { Catalog } from '../store/catalog.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { cannotSay, toRegistryError, upstreamStatusOf } from './failures.ts';
import { fetchPage } from './list-pages.ts';
import { goingOn, jsonListing, type Listing } from './listing.ts';
import type { ManifestCache } from './manifest-cache.ts';
import type { Manifests } from './manifests.ts';
import type { Place } from './place.ts';
import { StoredReferrers } from './stored-referrers.ts';
import { type ListSource, UpstreamLists } from './upstream-lists.ts';

export interface ReferrersOptions {
  catalog: Catalog;
  cache: ManifestCache;
  manifests: Pick<Manifests, 'get'>;
  isOffline: () => boolean;
  now: () => number;
}

export interface ReferrerQuestion {
  /** the only type that is wanted, undefined for all */
  artifactType: string | undefined;
  /** the digest after which to go on, empty for the beginning */
  last: string;
}

/** A part of a list of referrers, before it is filtered. */
interface Found {
  referrers: readonly Referrer[];
  next: string | undefined;
  outcome: Outcome;
  upstreamStatus?: number | undefined;
}

const MAX_REFERRERS = 1000;
/** Clients read an index of 4 MiB; the brackets around the entries need some of it. */
const MAX_BYTES = 4 * 1024 * 1024 - 4096;
const MAX_WITHOUT_API = 10_000;

export class Referrers {
  readonly #options: ReferrersOptions;
  readonly #stored: StoredReferrers;
  readonly #lists: UpstreamLists<Referrer>;
  /** lists that upstream could not give, by when it is asked for them again: the tag schema has them */
  readonly #withoutApi = new LRUCache<string, number>({ max: MAX_WITHOUT_API });

  constructor(options: ReferrersOptions) {
    this.#options = options;
    this.#stored = new StoredReferrers(options);
    this.#lists = new UpstreamLists(options.now);
  }

  /** distribution-spec, "Listing Referrers". @throws RegistryError */
  async list(place: Place, digest: Digest, question: ReferrerQuestion): Promise<Listing> {
    const source = this.#sourceOf(place, digest);
    if (this.#options.isOffline()) {
      const known = await this.#withoutUpstream(place, digest, source, question.last);
      if (known) return listingOf(known, question);
      throw offlineUnknown(source.key, 'MANIFEST_UNKNOWN');
    }
    try {
      const found = await this.#fromUpstream(place, digest, source, question.last);
      if (found.outcome !== 'stale') return listingOf(found, question);
      const known = await this.#withoutUpstream(place, digest, source, question.last);
      return listingOf({ ...(known ?? found), upstreamStatus: found.upstreamStatus }, question);
    } catch (error) {
      const known = cannotSay(error)
        ? await this.#withoutUpstream(place, digest, source, question.last)
        : undefined;
      if (known) return listingOf({ ...known, upstreamStatus: upstreamStatusOf(error) }, question);
      throw toRegistryError(source.key, error);
    }
  }

  async #fromUpstream(
    place: Place,
    digest: Digest,
    source: ListSource<Referrer>,
    last: string,
  ): Promise<Found> {
    const { now } = this.#options;
    if (now() < (this.#withoutApi.get(source.key) ?? 0)) return await this.#fromTag(place, digest);
    try {
      const answer = await this.#lists.ask(source, { last, limit: MAX_REFERRERS, maxBytes: MAX_BYTES });
      if (answer) return { ...answer, referrers: answer.entries };
    } catch (error) {
      if (isRefusal(error)) return await this.#fromTag(place, digest, error);
      if (!isWithoutApi(error)) throw error;
    }
    const found = await this.#fromTag(place, digest);
    // Not before the tag could be asked for: what answers in upstream's place (a captive portal) has no API either.
    this.#withoutApi.set(source.key, now() + source.ttlMs);
    return found;
  }

  /**
   * distribution-spec, "Referrers Tag Schema": what a client would do, so that the index is mirrored as any other.
   * @param refusal why the API could not be asked: then that there is no tag does not mean that there is no referrer
   */
  async #fromTag(place: Place, digest: Digest, refusal?: unknown): Promise<Found> {
    const tag = parseTag(referrersTag(digest));
    if (!tag) return { referrers: [], next: undefined, outcome: 'hit' };
    try {
      const reference = { kind: 'tag', tag } as const;
      const question = { ...place, reference, wantsBody: true, acceptsIndex: true };
      const { body, outcome, digest: found, upstreamStatus } = await this.#options.manifests.get(question);
      // GitLab takes `sha256-<hex>` for the digest itself: an image is no list of what refers to it.
      const referrers = (body && found !== digest && readReferrers(body)) || [];
      return { referrers, next: undefined, outcome, upstreamStatus };
    } catch (error) {
      const isAbsent = error instanceof RegistryError && error.status === 404 && !isOfflineUnknown(error);
      if (!isAbsent) throw error;
      if (refusal !== undefined) throw refusal;
      return { referrers: [], next: undefined, outcome: 'miss' };
    }
  }

  /**
   * What upstream said when it was last asked, and what is stored; undefined where nothing is known. The beginning of
   * a list whose next page failed is nothing: its end may hold the signature. Offline, nobody knows more.
   */
  async #withoutUpstream(
    place: Place,
    digest: Digest,
    { key, ttlMs }: ListSource<Referrer>,
    last: string,
  ): Promise<Found | undefined> {
    const all = { last: '', limit: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER };
    const isFresh = this.#lists.isFresh({ key, ttlMs }, all);
    const { entries: remembered, next: cutAt } = this.#lists.recall(key, all) ?? {};
    const stored = await this.#stored.list(place, digest);
    const isCut = cutAt !== undefined && !this.#options.isOffline();
    if (!stored && (!remembered || isCut)) return undefined;
    const union = new Map([...(remembered ?? []), ...(stored ?? [])].map((one) => [one.digest, one]));
    const inOrder = [...union.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
    const after = inOrder.filter((referrer) => referrer.digest > last);
    const referrers = after.slice(0, fitting(after));
    const next = referrers.length < after.length ? referrers.at(-1)?.digest : undefined;
    return { referrers, next, outcome: isFresh ? 'hit' : 'stale' };
  }

  /** The whole list is asked for, once for all filters: hubcap filters by itself. */
  #sourceOf(place: Place, digest: Digest): ListSource<Referrer> {
    const { upstream, repository } = place;
    const path = `referrers/${digest}`;
    const question = {
      upstream,
      repository,
      kind: 'referrers',
      path,
      member: 'manifests',
      read: readReferrer,
    } as const;
    return {
      key: `${upstream.host}/${repository}/${path}`,
      host: upstream.host,
      ttlMs: upstream.tagTtlMs,
      confirmMs: upstream.confirmMs,
      hasOther: this.#stored.mayKnow(place, digest),
      keyOf: (referrer) => referrer.digest,
      sizeOf: ({ json }) => json.length,
      query: '',
      queryAfter: () => undefined, // a list of referrers goes on where upstream says, nowhere else
      fetch: (query, deadlineMs) => fetchPage(question, query, deadlineMs),
    };
  }
}

function fitting(referrers: readonly Referrer[]): number {
  let bytes = 0;
  const end = referrers.findIndex(({ json }, at) => {
    bytes += json.length + 1;
    return at >= MAX_REFERRERS || (bytes > MAX_BYTES && at > 0);
  });
  return end < 0 ? referrers.length : end;
}

/**
 * The specification says 404; seen in the wild are 400, 405, 406, 501, a redirect to a page for people, and that
 * page with status 200. A list that is there and cannot be read (too large) has no status: it is no absence.
 */
function isWithoutApi(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false;
  const isOddAnswer = error.reason === 'bad-answer' && error.status !== undefined;
  return isOddAnswer || error.reason === 'redirect';
}

/** Some refuse what they do not know. Who may read the repository learns from the tag whether that is so. */
function isRefusal(error: unknown): boolean {
  return error instanceof UpstreamError && error.reason === 'denied';
}

function listingOf({ referrers, next, outcome, upstreamStatus }: Found, question: ReferrerQuestion): Listing {
  const { artifactType } = question;
  const wanted = artifactType === undefined ? referrers : referrers.filter(isOfType(artifactType));
  const manifests = wanted.map(({ json }) => JSON.parse(json) as unknown);
  const content = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
  const query = goingOn(undefined, next);
  if (artifactType !== undefined) query?.set('artifactType', artifactType);
  const filter = artifactType === undefined ? undefined : 'artifactType';
  return { ...jsonListing(content, query, outcome, OCI_INDEX), filter, upstreamStatus };
}

function isOfType(artifactType: string) {
  return (referrer: Referrer): boolean => referrer.artifactType === artifactType;
}
