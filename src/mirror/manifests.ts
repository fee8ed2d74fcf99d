/** Owns the answer to a manifest request: what a tag is, then the manifest by its digest. */
import type { Digest } from '../oci/digest.ts';
import { defaultPlatformManifest, parseManifest } from '../oci/manifest.ts';
import { isIndexType } from '../oci/media-types.ts';
import { type Reference, referenceText, type Tag } from '../oci/reference.ts';
import { manifestUnknown } from '../oci/registry-error.ts';
import type { Doubt, Outcome } from '../outcome.ts';
import type { Catalog, TagState } from '../store/catalog.ts';
import { Absences } from './absences.ts';
import type { Resolution } from './asking-tags.ts';
import { cannotSay, toRegistryError, upstreamStatusOf } from './failures.ts';
import { KnownTags } from './known-tags.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import { isNoSuchManifest, ManifestsByDigest } from './manifests-by-digest.ts';
import type { Permission } from './permission.ts';
import { nameOf, type Place } from './place.ts';
import { type ServedManifest, served } from './served-manifest.ts';
import { Tags } from './tags.ts';
import type { Visibility } from './visibility.ts';
import type { Wish } from './wish.ts';

export interface ManifestQuestion extends Place {
  reference: Reference;
  /** false for HEAD: nothing is fetched for it that counts against a pull limit */
  wantsBody: boolean;
  /** whether the client understands an index; false gets it the manifest for linux/amd64 by tag, as at the Hub */
  acceptsIndex: boolean;
}

/** A manifest that was brought into the store. */
export interface ObtainedManifest {
  manifest: StoredManifest;
  /** `hit` where nothing was fetched */
  outcome: Outcome;
  /** false where the disk did not take it */
  isStored: boolean;
  /** why upstream's word on the tag is missing, where it is */
  doubt?: Doubt | undefined;
  upstreamStatus?: number | undefined;
}

export interface ManifestsOptions {
  catalog: Catalog;
  cache: ManifestCache;
  permission: Permission;
  visibility: Visibility;
  isOffline: () => boolean;
  now: () => number;
  /** told when a tag could not be confirmed behind for a reason that the next client is told, too */
  failedBehind: (reference: string, error: unknown) => void;
}

export class Manifests {
  readonly #cache: ManifestCache;
  readonly #byDigest: ManifestsByDigest;
  readonly #known: KnownTags;
  readonly #tags: Tags;
  readonly #visibility: Visibility;
  readonly #now: () => number;

  constructor(options: ManifestsOptions) {
    this.#cache = options.cache;
    this.#now = options.now;
    this.#visibility = options.visibility;
    const absences = new Absences(options.now);
    const tags = new KnownTags(options.catalog, options.now);
    const revoked = (place: Place, digest: Digest): void => tags.forgetDigest(place, digest);
    this.#known = tags;
    this.#byDigest = new ManifestsByDigest({ ...options, absences, revoked });
    this.#tags = new Tags({ ...options, tags, absences, byDigest: this.#byDigest });
  }

  /** @throws RegistryError */
  async get(question: ManifestQuestion): Promise<ServedManifest> {
    const wish = (): Wish => ({ kind: 'manifest', path: `manifests/${referenceText(question.reference)}` });
    return await this.#visibility.during(question, wish, () => this.#get(question));
  }

  /**
   * Brings a manifest into the store, for nobody: it does not matter whether the repository is for everybody, and the
   * reserve of a pull limit is not spent.
   * @param sinceMs see `Tags.follow`
   * @throws RegistryError
   */
  async obtain(place: Place, reference: Reference, sinceMs: number): Promise<ObtainedManifest> {
    try {
      if (reference.kind === 'digest') return await this.#obtained(place, reference.digest, {});
      return await this.#obtainTag(place, reference.tag, sinceMs);
    } catch (error) {
      throw toRegistryError(nameOf(place, reference), error);
    }
  }

  /**
   * What a reference is by upstream's word, without spending a pull where it need not.
   * @throws RegistryError
   */
  async look(place: Place, reference: Reference): Promise<{ digest: Digest; doubt: Doubt | undefined }> {
    try {
      if (reference.kind === 'tag') {
        const { known, doubt } = await this.#tags.resolve(place, reference.tag, false);
        return { digest: known.digest, doubt };
      }
      const { digest, doubt } = await this.#byDigest.get(place, reference.digest, false);
      return { digest, doubt };
    } catch (error) {
      throw toRegistryError(nameOf(place, reference), error);
    }
  }

  /** A person says what a tag is: an image that was carried here. */
  adopt(place: Place, tag: Tag, state: TagState): void {
    this.#tags.adopt(place, tag, state);
  }

  /** A person has a tag, or what a manifest was, forgotten. */
  forget(place: Place, reference: Reference): void {
    if (reference.kind === 'tag') this.#tags.forget(place, reference.tag);
    else {
      this.#known.forgetDigest(place, reference.digest);
      this.#cache.forget(reference.digest);
    }
  }

  async #obtainTag(place: Place, tag: Tag, sinceMs: number): Promise<ObtainedManifest> {
    const resolution = await this.#tags.follow(place, tag, sinceMs);
    const digest = resolution.manifest?.digest ?? resolution.known.digest;
    const obtained = await this.#obtained(place, digest, resolution).catch(async (error) => {
      if (!isNoSuchManifest(error)) throw error;
      // HEAD has named a digest that upstream does not have: a false header. The tag's own bytes decide.
      const fetched = await this.#tags.fetch(place, tag, 'nobody');
      return await this.#obtained(place, fetched.manifest.digest, fetched);
    });
    this.#known.stored(place, obtained.manifest.digest, tag);
    return obtained;
  }

  async #obtained(place: Place, digest: Digest, tag: Partial<Resolution>): Promise<ObtainedManifest> {
    const { manifest, outcome: found } = await this.#byDigest.obtain(place, digest);
    const isStored = await this.#cache.isStored(digest);
    // What was fetched with the tag is here by the time its digest is asked for.
    const outcome = found === 'hit' && tag.manifest && tag.outcome ? tag.outcome : found;
    return { manifest, outcome, isStored, doubt: tag.doubt, upstreamStatus: tag.upstreamStatus };
  }

  /** Resolves when what goes on behind the answers has ended. */
  async settled(): Promise<void> {
    await this.#tags.settled();
  }

  async #get(question: ManifestQuestion): Promise<ServedManifest> {
    const { reference, wantsBody } = question;
    try {
      if (reference.kind === 'tag') return await this.#getByTag(question, reference.tag);
      return await this.#getByDigest(question, reference.digest, wantsBody);
    } catch (error) {
      throw toRegistryError(nameOf(question, reference), error);
    }
  }

  async #getByDigest(place: Place, digest: Digest, wantsBody: boolean): Promise<ServedManifest> {
    try {
      const answer = await this.#byDigest.get(place, digest, wantsBody);
      if (answer.outcome === 'miss' && wantsBody) this.#known.stored(place, digest);
      return answer;
    } catch (error) {
      if (cannotSay(error)) await this.#tags.missed(place, digest);
      throw error;
    }
  }

  async #getByTag(question: ManifestQuestion, tag: Tag): Promise<ServedManifest> {
    const { wantsBody, acceptsIndex } = question;
    const resolution = await this.#tags.resolve(question, tag, wantsBody || !acceptsIndex);
    const { known, outcome } = resolution;
    const isConverted = !acceptsIndex && isIndexType(known.mediaType);
    if (!wantsBody && !isConverted) {
      const { digest, mediaType, size } = known;
      return this.#said({ outcome, digest, mediaType, size, body: undefined, ageMs: 0 }, resolution);
    }
    const whole = await this.#bodyOf(question, tag, resolution);
    const answer = isConverted ? await this.#defaultPlatform(question, tag, whole) : whole;
    return this.#said(answer, resolution);
  }

  /** With what is to be said of the tag, where there is nothing to be said of the manifest. */
  #said(answer: ServedManifest, { known, doubt, overdueMs, upstreamStatus }: Resolution): ServedManifest {
    return {
      ...answer,
      ageMs: Math.max(answer.ageMs, this.#now() - known.checkedAtMs),
      doubt: answer.doubt ?? doubt,
      overdueMs,
      upstreamStatus: answer.upstreamStatus ?? upstreamStatus,
    };
  }

  /** What the tag is is known; its manifest may be in memory, on disk, evicted, or never fetched. */
  async #bodyOf(place: Place, tag: Tag, { known, outcome, manifest }: Resolution): Promise<ServedManifest> {
    const present = manifest ?? this.#cache.hot(known.digest);
    if (present) return served(present, outcome);
    const answer = await this.#byDigest.get(place, known.digest, true).catch((error: unknown) => {
      return isNoSuchManifest(error) ? this.#whole(place, tag) : this.#staleBody(place, tag, error);
    });
    if (answer.outcome === 'stale' || answer.digest !== known.digest) return answer;
    if (answer.outcome === 'hit') return { ...answer, outcome };
    this.#known.stored(place, known.digest, tag);
    return answer;
  }

  /** HEAD has named a digest that upstream does not have: a false header. The tag's own bytes decide. */
  async #whole(place: Place, tag: Tag): Promise<ServedManifest> {
    const { manifest, outcome, doubt, upstreamStatus } = await this.#tags.fetch(place, tag);
    return { ...served(manifest, outcome), doubt, upstreamStatus };
  }

  /** The tag has moved, and what it moved to cannot be had: what it was is better than nothing. */
  async #staleBody(place: Place, tag: Tag, error: unknown): Promise<ServedManifest> {
    const last = cannotSay(error) ? await this.#tags.fallBack(place, tag) : undefined;
    const manifest = last && (await this.#cache.get(last.digest));
    if (!manifest) throw error;
    const ageMs = Math.max(0, this.#now() - last.checkedAtMs);
    return {
      ...served(manifest, 'stale'),
      ageMs,
      doubt: 'unconfirmed',
      upstreamStatus: upstreamStatusOf(error),
    };
  }

  async #defaultPlatform(place: Place, tag: Tag, index: ServedManifest): Promise<ServedManifest> {
    const parsed = index.body && parseManifest(index.body, index.mediaType);
    const child = parsed && defaultPlatformManifest(parsed);
    if (!child) {
      const reference = nameOf(place, { kind: 'tag', tag });
      throw manifestUnknown(`${reference} (an index without linux/amd64, and the client accepts no index)`);
    }
    const answer = await this.#byDigest.get(place, child.digest, true);
    return answer.outcome === 'hit' ? { ...answer, outcome: index.outcome } : answer;
  }
}
