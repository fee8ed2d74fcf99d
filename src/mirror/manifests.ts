/** Owns how a manifest is obtained: by digest from the store, by tag as fresh as upstream lets it be. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import { defaultPlatformManifest, parseManifest } from '../oci/manifest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { type Reference, type Repository, referenceText, type Tag } from '../oci/reference.ts';
import { manifestUnknown, offlineUnknown, unavailable } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Catalog } from '../store/catalog.ts';
import { Absences } from './absences.ts';
import { cannotSay, toRegistryError, upstreamStatusOf } from './failures.ts';
import { decideTag, type KnownTag } from './freshness.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import type { MirroredUpstream } from './mirrored-upstream.ts';
import type { Permission } from './permission.ts';

export interface ManifestQuestion {
  upstream: MirroredUpstream;
  repository: Repository;
  reference: Reference;
  /** false for HEAD: nothing is fetched for it that counts against a pull limit */
  wantsBody: boolean;
  /** whether the client understands an index; false gets it the manifest for linux/amd64 by tag, as at the Hub */
  acceptsIndex: boolean;
}

export interface ServedManifest {
  outcome: Outcome;
  digest: Digest;
  mediaType: string;
  /** bytes, undefined where upstream did not say (HEAD of unknown content) */
  size: number | undefined;
  /** undefined where the answer to HEAD is known without it */
  body: Buffer | undefined;
  /** since upstream said that the tag is this; 0 by digest */
  ageMs: number;
  /** what upstream answered, where the manifest is stale */
  upstreamStatus?: number | undefined;
}

export interface ManifestsOptions {
  catalog: Catalog;
  cache: ManifestCache;
  permission: Permission;
  isOffline: () => boolean;
  now: () => number;
}

/** What a tag was found to be; `manifest` where it was fetched on the way. */
interface Resolution {
  known: KnownTag;
  outcome: Outcome;
  manifest?: StoredManifest;
  upstreamStatus?: number | undefined;
}

const MAX_HOT_TAGS = 20_000;
/** After upstream could not confirm a tag, the tag is served stale this long before it is asked again. */
const ASK_AGAIN_AFTER_MS = 10_000;

type Place = Pick<ManifestQuestion, 'upstream' | 'repository'>;

export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #tags = new LRUCache<string, KnownTag>({ max: MAX_HOT_TAGS });
  readonly #absences: Absences;
  readonly #resolving = new SingleFlight<Resolution>();
  readonly #fetching = new SingleFlight<{ manifest: StoredManifest; outcome: Outcome }>();
  readonly #proving = new SingleFlight<boolean>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
    this.#absences = new Absences(options.now);
  }

  /** @throws RegistryError */
  async get(question: ManifestQuestion): Promise<ServedManifest> {
    const { reference } = question;
    try {
      if (reference.kind === 'digest')
        return await this.#byDigest(question, reference.digest, question.wantsBody);
      return await this.#byTag(question, reference.tag);
    } catch (error) {
      throw toRegistryError(nameOf(question, reference), error);
    }
  }

  async #byDigest(place: Place, digest: Digest, wantsBody: boolean): Promise<ServedManifest> {
    const { cache, permission, isOffline } = this.#options;
    const { upstream, repository } = place;
    const isHeld = permission.holds(upstream.host, repository, digest);
    const stored = cache.hot(digest) ?? (await cache.get(digest));
    if (stored && isHeld) return served(stored, 'hit');
    if (isOffline()) return this.#offlineByDigest(place, digest, stored);
    this.#absences.check(keyOf(place, digest));
    if (stored) return await this.#proven(place, stored);
    if (!wantsBody) return await this.#headByDigest(place, digest);
    const { manifest, outcome } = await this.#fetch(place, digest);
    return served(manifest, outcome);
  }

  #offlineByDigest(place: Place, digest: Digest, stored: StoredManifest | undefined): ServedManifest {
    const isNamed = this.#options.permission.isNamed(repositoryOf(place), digest);
    if (stored && isNamed) return served(stored, 'hit');
    throw offlineUnknown(nameOf(place, { kind: 'digest', digest }), 'MANIFEST_UNKNOWN');
  }

  /** The bytes are here by way of another repository: upstream must say that this one holds them too. */
  async #proven(place: Place, stored: StoredManifest): Promise<ServedManifest> {
    const { permission } = this.#options;
    const { upstream, repository } = place;
    const { digest } = stored;
    const reference: Reference = { kind: 'digest', digest };
    try {
      const prove = async () => {
        const head = await upstream.client.headManifest(repository, reference, upstream.confirmMs);
        if (head) permission.grant(upstream.host, repository, digest);
        return head !== undefined;
      };
      if (await this.#proving.run(keyOf(place, digest), prove).result) return served(stored, 'hit');
    } catch (error) {
      if (!cannotSay(error) || !permission.isNamed(repositoryOf(place), digest)) throw error;
      return { ...served(stored, 'stale'), upstreamStatus: upstreamStatusOf(error) };
    }
    throw this.#absent(place, reference);
  }

  async #headByDigest(place: Place, digest: Digest): Promise<ServedManifest> {
    const reference: Reference = { kind: 'digest', digest };
    const head = await place.upstream.client.headManifest(place.repository, reference);
    if (!head) throw this.#absent(place, reference);
    const mediaType = head.mediaType ?? 'application/json';
    return { outcome: 'miss', digest, mediaType, size: head.size, body: undefined, ageMs: 0 };
  }

  /** One download of a manifest by digest for all who ask, twice where the first brought something else. */
  async #fetch(place: Place, digest: Digest): Promise<{ manifest: StoredManifest; outcome: Outcome }> {
    const { cache, permission } = this.#options;
    const { upstream, repository } = place;
    const reference: Reference = { kind: 'digest', digest };
    const work = async () => {
      // Another flight may have ended between the caller's look into the cache and this one.
      const stored = await cache.get(digest);
      if (stored && permission.holds(upstream.host, repository, digest)) {
        return { manifest: stored, outcome: 'coalesced' as const };
      }
      for (let attempt = 1; attempt <= 2; attempt++) {
        const fetched = await upstream.client.manifest(repository, reference);
        if (!fetched) throw this.#absent(place, reference);
        const added = await cache.add(fetched.body, fetched.mediaType, digest);
        if (!added) continue;
        permission.grant(upstream.host, repository, digest);
        return {
          manifest: added.manifest,
          outcome: added.isStored ? ('miss' as const) : ('bypass' as const),
        };
      }
      throw wrongContent(nameOf(place, reference));
    };
    const { result, joined } = this.#fetching.run(keyOf(place, digest), work);
    const fetched = await result;
    return joined ? { ...fetched, outcome: 'coalesced' } : fetched;
  }

  async #byTag(question: ManifestQuestion, tag: Tag): Promise<ServedManifest> {
    const { wantsBody, acceptsIndex } = question;
    const resolution = await this.#resolve(question, tag, wantsBody || !acceptsIndex);
    const { known, outcome, upstreamStatus } = resolution;
    const ageMs = Math.max(0, this.#options.now() - known.checkedAtMs);
    const isConverted = !acceptsIndex && isIndexType(known.mediaType);
    if (!wantsBody && !isConverted) {
      const { digest, mediaType, size } = known;
      return { outcome, digest, mediaType, size, body: undefined, ageMs, upstreamStatus };
    }
    const manifest = resolution.manifest ?? this.#options.cache.hot(known.digest);
    const whole = manifest ? served(manifest, outcome) : await this.#bodyOf(question, tag, resolution);
    const answer = isConverted ? await this.#defaultPlatform(question, tag, whole) : whole;
    return { ...answer, ageMs, upstreamStatus: answer.upstreamStatus ?? upstreamStatus };
  }

  /** What the tag is was known; its manifest may be on disk, evicted, or never fetched. */
  async #bodyOf(place: Place, tag: Tag, { known, outcome }: Resolution): Promise<ServedManifest> {
    const answer = await this.#byDigest(place, known.digest, true);
    if (answer.outcome === 'hit') return { ...answer, outcome };
    this.#options.catalog.setTag(repositoryOf(place), tag, known); // it goes with its manifest, which is stored now
    return answer;
  }

  async #defaultPlatform(place: Place, tag: Tag, index: ServedManifest): Promise<ServedManifest> {
    const parsed = index.body && parseManifest(index.body, index.mediaType);
    const child = parsed && defaultPlatformManifest(parsed);
    if (!child) {
      const reference = nameOf(place, { kind: 'tag', tag });
      throw manifestUnknown(`${reference} (an index without linux/amd64, and the client accepts no index)`);
    }
    const answer = await this.#byDigest(place, child.digest, true);
    return answer.outcome === 'hit' ? { ...answer, outcome: index.outcome } : answer;
  }

  async #resolve(place: Place, tag: Tag, wantsBody: boolean): Promise<Resolution> {
    const { isOffline, now } = this.#options;
    const key = keyOf(place, tag);
    const known = this.#tags.get(key) ?? this.#recall(place, tag, key);
    const decision = decideTag(known, now(), place.upstream.tagTtlMs, isOffline());
    if (known && decision !== 'confirm') return { known, outcome: decision === 'fresh' ? 'hit' : 'stale' };
    if (isOffline()) throw offlineUnknown(nameOf(place, { kind: 'tag', tag }), 'MANIFEST_UNKNOWN');
    this.#absences.check(key);
    const flight = known ? 'confirm' : wantsBody ? 'get' : 'head';
    const { result, joined } = this.#resolving.run(`${flight} ${key}`, async () => {
      if (known) return await this.#confirm(place, tag, known, wantsBody);
      return wantsBody ? await this.#fetchTag(place, tag) : await this.#headTag(place, tag);
    });
    const resolution = await result;
    return joined && resolution.outcome === 'miss' ? { ...resolution, outcome: 'coalesced' } : resolution;
  }

  #recall(place: Place, tag: Tag, key: string): KnownTag | undefined {
    const state = this.#options.catalog.tag(repositoryOf(place), tag);
    if (state) this.#tags.set(key, state);
    return state;
  }

  /** One HEAD says whether the tag is what it was; only a tag that moved is fetched, by its digest. */
  async #confirm(place: Place, tag: Tag, known: KnownTag, wantsBody: boolean): Promise<Resolution> {
    const { upstream, repository } = place;
    const checkedAtMs = this.#options.now();
    try {
      const head = await upstream.client.headManifest(repository, { kind: 'tag', tag }, upstream.confirmMs);
      if (!head) throw this.#gone(place, tag);
      if (head.digest === undefined) return await this.#fetchTag(place, tag);
      const { digest, mediaType, size } = known;
      if (head.digest === digest) {
        return {
          known: this.#learn(place, tag, { digest, mediaType, size, checkedAtMs }),
          outcome: 'revalidated',
        };
      }
      if (!wantsBody) return this.#learnHead(place, tag, head, head.digest, checkedAtMs);
      const { manifest, outcome } = await this.#fetch(place, head.digest);
      return { known: this.#learnManifest(place, tag, manifest, checkedAtMs), outcome, manifest };
    } catch (error) {
      if (!cannotSay(error) || !(await this.#isServable(place, known))) throw error;
      this.#tags.set(keyOf(place, tag), { ...known, askAgainAtMs: this.#options.now() + ASK_AGAIN_AFTER_MS });
      return { known, outcome: 'stale', upstreamStatus: upstreamStatusOf(error) };
    }
  }

  async #fetchTag(place: Place, tag: Tag): Promise<Resolution> {
    const { cache, permission } = this.#options;
    const { upstream, repository } = place;
    const reference: Reference = { kind: 'tag', tag };
    const checkedAtMs = this.#options.now();
    const fetched = await upstream.client.manifest(repository, reference);
    if (!fetched) throw this.#gone(place, tag);
    // The digest is that of the bytes: a wrong `Docker-Content-Digest` has been seen (facts, "Accept").
    const added = await cache.add(fetched.body, fetched.mediaType, undefined);
    if (!added) throw wrongContent(nameOf(place, reference));
    permission.grant(upstream.host, repository, added.manifest.digest);
    const known = this.#learnManifest(place, tag, added.manifest, checkedAtMs);
    return { known, outcome: added.isStored ? 'miss' : 'bypass', manifest: added.manifest };
  }

  async #headTag(place: Place, tag: Tag): Promise<Resolution> {
    const checkedAtMs = this.#options.now();
    const head = await place.upstream.client.headManifest(place.repository, { kind: 'tag', tag });
    if (!head) throw this.#gone(place, tag);
    if (head.digest === undefined || head.mediaType === undefined) return await this.#fetchTag(place, tag);
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
    this.#tags.set(keyOf(place, tag), state);
    this.#options.catalog.setTag(repositoryOf(place), tag, state);
    return state;
  }

  async #isServable(place: Place, { digest }: KnownTag): Promise<boolean> {
    const { cache, permission } = this.#options;
    return (
      permission.holds(place.upstream.host, place.repository, digest) &&
      (await cache.get(digest)) !== undefined
    );
  }

  #gone(place: Place, tag: Tag): Error {
    this.#tags.delete(keyOf(place, tag));
    this.#options.catalog.deleteTag(repositoryOf(place), tag);
    return this.#absent(place, { kind: 'tag', tag });
  }

  #absent(place: Place, reference: Reference): Error {
    const error = manifestUnknown(nameOf(place, reference));
    return this.#absences.remember(
      keyOf(place, referenceText(reference)),
      error,
      place.upstream.notFoundTtlMs,
    );
  }
}

function served(manifest: StoredManifest, outcome: Outcome): ServedManifest {
  const { digest, mediaType, body } = manifest;
  return { outcome, digest, mediaType, size: body.length, body, ageMs: 0 };
}

function wrongContent(reference: string): Error {
  return unavailable(`${reference}: what upstream sent is not this manifest; ask again`, 502, 5);
}

function keyOf({ upstream, repository }: Place, reference: string): string {
  return `${upstream.host}/${repository}@${reference}`;
}

function nameOf({ upstream, repository }: Place, reference: Reference): string {
  return `${upstream.host}/${repository}${reference.kind === 'tag' ? ':' : '@'}${referenceText(reference)}`;
}

function repositoryOf({ upstream, repository }: Place): { upstream: string; name: Repository } {
  return { upstream: upstream.host, name: repository };
}
