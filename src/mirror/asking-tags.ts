/** Owns asking upstream what a tag is: by HEAD, and by a download only where it moved or is not known. */
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import type { Reference, Tag } from '../oci/reference.ts';
import { manifestUnknown } from '../oci/registry-error.ts';
import type { Doubt, Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { FetchedManifest, ManifestHead, Upstream } from '../upstream/upstream.ts';
import type { Absences } from './absences.ts';
import { cannotSay, upstreamStatusOf } from './failures.ts';
import type { KnownTag } from './freshness.ts';
import type { KnownTags } from './known-tags.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import { isNoSuchManifest, type ManifestsByDigest, wrongContent } from './manifests-by-digest.ts';
import { ttlOf } from './patterns.ts';
import type { Permission } from './permission.ts';
import { keyOf, nameOf, type Place } from './place.ts';

export interface AskingTagsOptions {
  tags: KnownTags;
  cache: ManifestCache;
  permission: Permission;
  absences: Absences;
  byDigest: ManifestsByDigest;
  now: () => number;
}

/** What a tag was found to be. */
export interface Resolution {
  known: KnownTag;
  outcome: Outcome;
  /** where it was fetched on the way */
  manifest?: StoredManifest;
  /** why upstream's word is missing, where the tag is stale */
  doubt?: Doubt;
  /** how long its time is over, where it is confirmed behind */
  overdueMs?: number;
  /** what upstream answered, where the tag is stale */
  upstreamStatus?: number | undefined;
  /** why upstream could not say, where it was asked just now */
  failure?: unknown;
}

export type FetchedTag = Resolution & { manifest: StoredManifest };

/** What upstream said of a tag, when it was asked and by whom. */
interface HeadAnswer {
  head: ManifestHead | undefined;
  checkedAtMs: number;
  client: Upstream;
}

/** Who waits for upstream's word: nobody, or a client that wants the manifest, or only to know which it is. */
export type Asker = 'nobody' | 'reader' | 'looker';

/** After upstream could not confirm a tag, the tag is served stale this long before it is asked again. */
const ASK_AGAIN_AFTER_MS = 10_000;

export class AskingTags {
  readonly #options: AskingTagsOptions;
  /** those who wait, and who confirms behind, share one HEAD */
  readonly #heading = new SingleFlight<HeadAnswer>();

  constructor(options: AskingTagsOptions) {
    this.#options = options;
  }

  /** One HEAD says whether the tag is what it was; only a tag that moved is fetched, by its digest. */
  async confirm(place: Place, tag: Tag, known: KnownTag, asker: Asker): Promise<Resolution> {
    const { cache, permission, byDigest, tags } = this.#options;
    try {
      const answer = await this.#askHead(place, tag, place.upstream.confirmMs);
      const { head, checkedAtMs, client } = answer;
      if (!head) return await this.#deleted(place, tag);
      const { digest } = head;
      if (digest === undefined || this.#isMissing(place, digest)) return await this.fetch(place, tag, asker);
      if (digest === known.digest) {
        await cache.ensureStored(digest);
        permission.grant(place, digest, client);
        const { mediaType, size } = known;
        const confirmed = this.#learn(place, tag, { digest, mediaType, size, checkedAtMs });
        return { known: confirmed, outcome: 'revalidated' };
      }
      if (asker === 'looker') return this.#learnHead(place, tag, { ...answer, head }, digest);
      return await this.#follow(place, tag, digest, checkedAtMs, asker);
    } catch (error) {
      if (!cannotSay(error) || !(await byDigest.isServable(place, known.digest))) throw error;
      tags.pause(place, tag, known, 'unconfirmed', quietMs(error));
      return { ...stale(known, 'unconfirmed', upstreamStatusOf(error)), failure: error };
    }
  }

  /** A tag of which nothing is known, for a client that does not want the manifest, or for nobody. */
  async look(place: Place, tag: Tag, asker: 'looker' | 'nobody' = 'looker'): Promise<Resolution> {
    const answer = await this.#askHead(place, tag);
    const { head } = answer;
    if (!head) return await this.#deleted(place, tag);
    const { digest, mediaType } = head;
    if (digest === undefined || mediaType === undefined || this.#isMissing(place, digest))
      return await this.fetch(place, tag, asker);
    return this.#learnHead(place, tag, { ...answer, head }, digest);
  }

  /** Fetches the tag itself, whatever is known about it. */
  async fetch(place: Place, tag: Tag, asker: Asker): Promise<FetchedTag> {
    const { cache, permission, now } = this.#options;
    const { client } = place.upstream;
    const reference: Reference = { kind: 'tag', tag };
    const checkedAtMs = now();
    const isBackground = asker === 'nobody';
    let before: Buffer | undefined;
    for (let attempt = 1; attempt <= 2; attempt++) {
      const isAfresh = attempt > 1;
      const fetched = await client.manifest(place.repository, reference, { isAfresh, isBackground });
      if (!fetched) return await this.#deleted(place, tag);
      const { body, mediaType } = fetched;
      // Where upstream names another digest than the bytes have, one of the two is wrong: a wrong header has been
      // seen (facts, "Accept"), and bits flip. Bytes that come twice are what upstream has.
      const isBelieved = isNamed(fetched) || before?.equals(body);
      const added = isBelieved ? await cache.add(body, mediaType, undefined) : undefined;
      before = body;
      if (!added) continue;
      permission.grant(place, added.manifest.digest, client);
      const known = this.#learnManifest(place, tag, added.manifest, checkedAtMs);
      return { known, outcome: added.isStored ? 'miss' : 'bypass', manifest: added.manifest };
    }
    throw wrongContent(nameOf(place, reference));
  }

  /**
   * @returns what the tag was when upstream last said so, of what can be served without it; undefined where nothing
   *   of it can
   */
  async lastServable(place: Place, tag: Tag): Promise<KnownTag | undefined> {
    const { tags, byDigest } = this.#options;
    for (const known of [tags.get(place, tag), tags.noted(place, tag)]) {
      if (known && (await byDigest.isServable(place, known.digest))) return known;
    }
    return undefined;
  }

  /**
   * The manifest that the tag is cannot be had, as HEAD may have seen it move: until upstream is asked again it is
   * what it was before, for those who ask by HEAD too.
   * @returns undefined where nothing of it can be served
   */
  async fallBack(place: Place, tag: Tag): Promise<KnownTag | undefined> {
    const last = await this.lastServable(place, tag);
    if (last) this.#options.tags.pause(place, tag, last, 'unconfirmed', ASK_AGAIN_AFTER_MS);
    return last;
  }

  /** The tag has moved. A digest that upstream then does not have was a false header: the bytes decide. */
  async #follow(place: Place, tag: Tag, digest: Digest, atMs: number, asker: Asker): Promise<Resolution> {
    try {
      const { manifest, outcome } = await this.#options.byDigest.fetch(place, digest, asker === 'nobody');
      return { known: this.#learnManifest(place, tag, manifest, atMs), outcome, manifest };
    } catch (error) {
      if (!isNoSuchManifest(error)) throw error;
      return await this.fetch(place, tag, asker);
    }
  }

  async #askHead(place: Place, tag: Tag, deadlineMs?: number): Promise<HeadAnswer> {
    return await this.#heading.run(keyOf(place, tag), async () => {
      const { client } = place.upstream;
      const checkedAtMs = this.#options.now();
      const head = await client.headManifest(place.repository, { kind: 'tag', tag }, deadlineMs);
      return { head, checkedAtMs, client };
    }).result;
  }

  /** HEAD names a digest that upstream has just said it does not have: one of the two is wrong, and bytes decide. */
  #isMissing(place: Place, digest: Digest): boolean {
    return this.#options.absences.saidAt(keyOf(place, digest)) !== undefined;
  }

  #learnHead(
    place: Place,
    tag: Tag,
    { head, checkedAtMs, client }: HeadAnswer & { head: ManifestHead },
    digest: Digest,
  ): Resolution {
    const { permission, tags } = this.#options;
    const state = { digest, mediaType: head.mediaType ?? 'application/json', size: head.size, checkedAtMs };
    permission.grant(place, digest, client);
    tags.awaitManifest(place, tag, digest);
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

  /** Whoever is told that the tag is this digest gets it by digest too: what was absent before is not any more. */
  #learn(place: Place, tag: Tag, state: KnownTag): KnownTag {
    for (const known of [tag, state.digest]) this.#options.absences.forget(keyOf(place, known));
    this.#options.tags.learn(place, tag, state);
    return state;
  }

  /** Upstream no longer has the tag. @throws RegistryError unless it is kept */
  async #deleted(place: Place, tag: Tag): Promise<FetchedTag> {
    const { tags, cache, absences } = this.#options;
    const { upstream, repository } = place;
    const last = upstream.keepDeleted ? await this.lastServable(place, tag) : undefined;
    const manifest = last && (await cache.get(last.digest));
    if (manifest) {
      tags.pause(place, tag, last, 'kept', ttlOf(upstream, repository, tag));
      return { ...stale(last, 'kept', 404), manifest };
    }
    tags.forget(place, tag);
    const error = manifestUnknown(nameOf(place, { kind: 'tag', tag }));
    throw absences.remember(keyOf(place, tag), error, upstream.notFoundTtlMs);
  }
}

/** An upstream that is left alone already is asked as soon as it may be, and all when hubcap is online again. */
function quietMs(error: unknown): number {
  if (error instanceof UpstreamError && error.reason === 'offline') return 0;
  if (!(error instanceof UpstreamError) || !error.isFromMemory) return ASK_AGAIN_AFTER_MS;
  return Math.min(ASK_AGAIN_AFTER_MS, error.retryAfterMs ?? ASK_AGAIN_AFTER_MS);
}

/** @returns what is served although upstream did not confirm it */
export function stale(known: KnownTag, doubt: Doubt, upstreamStatus?: number): Resolution {
  return { known, outcome: 'stale', doubt, upstreamStatus: doubt === 'kept' ? 404 : upstreamStatus };
}

/** Whether a manifest is what upstream calls it, where it calls it anything. */
function isNamed({ body, digest }: FetchedManifest): boolean {
  return digest === undefined || digestOf(body, algorithmOf(digest)) === digest;
}
