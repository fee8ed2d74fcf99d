/** Owns what a tag is: as fresh as upstream lets it be, confirmed by HEAD, fetched only when it moved. */
import { LRUCache } from 'lru-cache';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import type { Reference, Tag } from '../oci/reference.ts';
import { manifestUnknown, offlineUnknown, type RegistryError } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Catalog } from '../store/catalog.ts';
import type { Absences } from './absences.ts';
import { cannotSay, upstreamStatusOf } from './failures.ts';
import { decideTag, type KnownTag } from './freshness.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import { isNoSuchManifest, type ManifestsByDigest, wrongContent } from './manifests-by-digest.ts';
import type { Permission } from './permission.ts';
import { keyOf, nameOf, type Place, repositoryOf } from './place.ts';

export interface TagsOptions {
  catalog: Catalog;
  cache: ManifestCache;
  permission: Permission;
  absences: Absences;
  byDigest: ManifestsByDigest;
  isOffline: () => boolean;
  now: () => number;
}

/** What a tag was found to be. */
export interface Resolution {
  known: KnownTag;
  outcome: Outcome;
  /** where it was fetched on the way */
  manifest?: StoredManifest;
  /** what upstream answered, where the tag is stale */
  upstreamStatus?: number | undefined;
}

type Fetched = Resolution & { manifest: StoredManifest };

const MAX_HOT_TAGS = 20_000;
/** After upstream could not confirm a tag, the tag is served stale this long before it is asked again. */
const ASK_AGAIN_AFTER_MS = 10_000;

/**
 * The catalog keeps a tag only as long as its manifest is stored. A tag that is known by HEAD alone is kept in
 * memory, and noted when its manifest comes (`stored`): Docker asks HEAD by tag, then GET by digest.
 */
export class Tags {
  readonly #options: TagsOptions;
  readonly #hot = new LRUCache<string, KnownTag>({ max: MAX_HOT_TAGS });
  readonly #unstored = new LRUCache<string, Tag>({ max: MAX_HOT_TAGS });
  readonly #resolving = new SingleFlight<Resolution>();
  readonly #fetching = new SingleFlight<Fetched>();

  constructor(options: TagsOptions) {
    this.#options = options;
  }

  /**
   * @param wantsBody false: nothing is fetched that counts against a pull limit
   * @throws RegistryError, UpstreamError
   */
  async resolve(place: Place, tag: Tag, wantsBody: boolean): Promise<Resolution> {
    const { isOffline, absences, now } = this.#options;
    const key = keyOf(place, tag);
    const known = this.#hot.get(key) ?? this.#recall(place, tag, key);
    const decision = decideTag(known, now(), place.upstream.tagTtlMs, isOffline());
    if (known && decision !== 'confirm') return { known, outcome: decision === 'fresh' ? 'hit' : 'stale' };
    if (isOffline()) throw offlineUnknown(nameOf(place, { kind: 'tag', tag }), 'MANIFEST_UNKNOWN');
    absences.check(key);
    const flight = known ? 'confirm' : wantsBody ? 'get' : 'head';
    const { result, joined } = this.#resolving.run(`${flight} ${key}`, async () => {
      if (known) return await this.#confirm(place, tag, known, wantsBody);
      return wantsBody ? await this.#fetch(place, tag) : await this.#head(place, tag);
    });
    const resolution = await result;
    return joined && resolution.outcome === 'miss' ? { ...resolution, outcome: 'coalesced' } : resolution;
  }

  /** A manifest has come into the store: `tag`, or the one under which it was asked about, is noted with it. */
  stored(place: Place, digest: Digest, tag = this.#unstored.get(keyOf(place, digest))): void {
    const known = tag && this.#hot.get(keyOf(place, tag));
    if (!tag || known?.digest !== digest) return;
    this.#options.catalog.setTag(repositoryOf(place), tag, known);
    this.#unstored.delete(keyOf(place, digest));
  }

  /**
   * What the catalog still knows of a tag whose new manifest cannot be had: HEAD may have seen it move before.
   * @returns undefined where nothing of it can be served
   */
  async lastServable(place: Place, tag: Tag): Promise<KnownTag | undefined> {
    const known = this.#options.catalog.tag(repositoryOf(place), tag);
    return known && (await this.#options.byDigest.isServable(place, known.digest)) ? known : undefined;
  }

  #recall(place: Place, tag: Tag, key: string): KnownTag | undefined {
    const state = this.#options.catalog.tag(repositoryOf(place), tag);
    if (state) this.#hot.set(key, state);
    return state;
  }

  /** One HEAD says whether the tag is what it was; only a tag that moved is fetched, by its digest. */
  async #confirm(place: Place, tag: Tag, known: KnownTag, wantsBody: boolean): Promise<Resolution> {
    const { byDigest, cache, permission, now } = this.#options;
    const { upstream, repository } = place;
    const checkedAtMs = now();
    try {
      const head = await upstream.client.headManifest(repository, { kind: 'tag', tag }, upstream.confirmMs);
      if (!head) throw this.#gone(place, tag);
      if (head.digest === undefined) return await this.#fetch(place, tag);
      const { digest, mediaType, size } = known;
      if (head.digest === digest) {
        await cache.ensureStored(digest);
        permission.grant(upstream.host, repository, digest);
        return {
          known: this.#learn(place, tag, { digest, mediaType, size, checkedAtMs }),
          outcome: 'revalidated',
        };
      }
      if (!wantsBody) return this.#learnHead(place, tag, head, head.digest, checkedAtMs);
      return await this.#follow(place, tag, head.digest, checkedAtMs);
    } catch (error) {
      if (!cannotSay(error) || !(await byDigest.isServable(place, known.digest))) throw error;
      this.#hot.set(keyOf(place, tag), { ...known, askAgainAtMs: now() + ASK_AGAIN_AFTER_MS });
      return { known, outcome: 'stale', upstreamStatus: upstreamStatusOf(error) };
    }
  }

  /** The tag has moved. A digest that upstream then does not have was a false header: the bytes decide. */
  async #follow(place: Place, tag: Tag, digest: Digest, checkedAtMs: number): Promise<Resolution> {
    try {
      const { manifest, outcome } = await this.#options.byDigest.fetch(place, digest);
      return { known: this.#learnManifest(place, tag, manifest, checkedAtMs), outcome, manifest };
    } catch (error) {
      if (!isNoSuchManifest(error)) throw error;
      return await this.#fetch(place, tag);
    }
  }

  /**
   * Fetches the tag itself, whatever is known about it; one download for all who ask.
   * @throws RegistryError, UpstreamError
   */
  async fetch(place: Place, tag: Tag): Promise<Fetched> {
    return await this.#fetching.run(keyOf(place, tag), () => this.#fetch(place, tag)).result;
  }

  async #fetch(place: Place, tag: Tag): Promise<Fetched> {
    const { cache, permission, now } = this.#options;
    const { upstream, repository } = place;
    const reference: Reference = { kind: 'tag', tag };
    const checkedAtMs = now();
    let before: Buffer | undefined;
    for (let attempt = 1; attempt <= 2; attempt++) {
      const fetched = await upstream.client.manifest(repository, reference, { isAfresh: attempt > 1 });
      if (!fetched) throw this.#gone(place, tag);
      const { body, mediaType } = fetched;
      // Where upstream names another digest than the bytes have, one of the two is wrong: a wrong header has been
      // seen (facts, "Accept"), and bits flip. Bytes that come twice are what upstream has.
      const isBelieved = isNamed(fetched) || before?.equals(body);
      const added = isBelieved ? await cache.add(body, mediaType, undefined) : undefined;
      before = body;
      if (!added) continue;
      permission.grant(upstream.host, repository, added.manifest.digest);
      const known = this.#learnManifest(place, tag, added.manifest, checkedAtMs);
      return { known, outcome: added.isStored ? 'miss' : 'bypass', manifest: added.manifest };
    }
    throw wrongContent(nameOf(place, reference));
  }

  async #head(place: Place, tag: Tag): Promise<Resolution> {
    const checkedAtMs = this.#options.now();
    const head = await place.upstream.client.headManifest(place.repository, { kind: 'tag', tag });
    if (!head) throw this.#gone(place, tag);
    if (head.digest === undefined || head.mediaType === undefined) return await this.#fetch(place, tag);
    return this.#learnHead(place, tag, head, head.digest, checkedAtMs);
  }

  #learnHead(
    place: Place,
    tag: Tag,
    { mediaType, size }: { mediaType: string | undefined; size: number | undefined },
    digest: Digest,
    checkedAtMs: number,
  ): Resolution {
    this.#options.permission.grant(place.upstream.host, place.repository, digest);
    const state = { digest, mediaType: mediaType ?? 'application/json', size, checkedAtMs };
    this.#unstored.set(keyOf(place, digest), tag);
    return { known: this.#learn(place, tag, state), outcome: 'miss' };
  }

  #learnManifest(
    place: Place,
    tag: Tag,
    { digest, mediaType, body }: StoredManifest,
    checkedAtMs: number,
  ): KnownTag {
    return this.#learn(place, tag, { digest, mediaType, size: body.length, checkedAtMs });
  }

  #learn(place: Place, tag: Tag, state: KnownTag): KnownTag {
    this.#hot.set(keyOf(place, tag), state);
    this.#options.catalog.setTag(repositoryOf(place), tag, state);
    return state;
  }

  #gone(place: Place, tag: Tag): RegistryError {
    const { catalog, absences } = this.#options;
    const key = keyOf(place, tag);
    this.#hot.delete(key);
    catalog.deleteTag(repositoryOf(place), tag);
    return absences.remember(
      key,
      manifestUnknown(nameOf(place, { kind: 'tag', tag })),
      place.upstream.notFoundTtlMs,
    );
  }
}

/** Whether a manifest is what upstream calls it, where it calls it anything. */
function isNamed({ body, digest }: { body: Buffer; digest: Digest | undefined }): boolean {
  return digest === undefined || digestOf(body, algorithmOf(digest)) === digest;
}
