/** Owns which referrers hubcap knows without upstream: of a repository, and of what that repository holds (rule 3). */
import type { Digest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { parseTag } from '../oci/reference.ts';
import { describeReferrer, type Referrer, readReferrers, referrersTag } from '../oci/referrer.ts';
import type { Catalog } from '../store/catalog.ts';
import type { ManifestCache } from './manifest-cache.ts';
import { type Place, repositoryOf } from './place.ts';

export interface StoredReferrersOptions {
  catalog: Catalog;
  cache: ManifestCache;
}

/** So many are read for one answer. */
const MAX_REFERRERS = 1000;
/** So many manifests that an earlier version stored are looked into for one answer. */
const MAX_EXAMINED = 500;

export class StoredReferrers {
  readonly #options: StoredReferrersOptions;

  constructor(options: StoredReferrersOptions) {
    this.#options = options;
  }

  /** Cheap: nothing is read from disk. @returns whether there may be any */
  mayKnow(place: Place, digest: Digest): boolean {
    const { catalog } = this.#options;
    const repository = repositoryOf(place);
    const isNoted =
      catalog.referrers(repository, digest, '', 1).length > 0 ||
      catalog.withoutSubject(repository, 1).length > 0;
    return isNoted || this.#schemaDigest(place, digest) !== undefined;
  }

  /**
   * The stored manifests whose subject is the digest, and the referrers in an index under the tag schema.
   * @returns them in order of their digests, undefined where nothing is known of them
   */
  async list(place: Place, digest: Digest): Promise<Referrer[] | undefined> {
    const { catalog, cache } = this.#options;
    const repository = repositoryOf(place);
    await this.#examine(place);
    const found = new Map<Digest, Referrer>();
    for (const stored of catalog.referrers(repository, digest, '', MAX_REFERRERS)) {
      const manifest = await cache.get(stored);
      if (manifest) found.set(stored, describeReferrer(stored, manifest.mediaType, manifest.body));
    }
    const schema = this.#schemaDigest(place, digest);
    const index = schema && schema !== digest ? await cache.get(schema) : undefined;
    for (const referrer of (index && readReferrers(index.body)) ?? []) {
      if (!found.has(referrer.digest)) found.set(referrer.digest, referrer);
    }
    if (found.size === 0 && !index) return undefined;
    return [...found.values()].sort((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  /** An earlier version stored manifests without noting what they refer to. */
  async #examine(place: Place): Promise<void> {
    const { catalog, cache } = this.#options;
    for (const digest of catalog.withoutSubject(repositoryOf(place), MAX_EXAMINED)) {
      const manifest = await cache.get(digest);
      const parsed = manifest && parseManifest(manifest.body, manifest.mediaType);
      if (parsed) catalog.addManifest(digest, parsed);
    }
  }

  #schemaDigest(place: Place, digest: Digest): Digest | undefined {
    const { catalog } = this.#options;
    const tag = parseTag(referrersTag(digest));
    const known = tag && catalog.tag(repositoryOf(place), tag)?.digest;
    return known && catalog.holds(repositoryOf(place), known) ? known : undefined;
  }
}
