/** Owns how a manifest is obtained by digest: from the store where the repository holds it, else once from upstream. */
import type { Digest } from '../oci/digest.ts';
import type { Reference } from '../oci/reference.ts';
import {
  isOfflineUnknown,
  manifestUnknown,
  offlineUnknown,
  RegistryError,
  unavailable,
} from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Absences } from './absences.ts';
import { cannotSay, upstreamStatusOf } from './failures.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import type { Permission } from './permission.ts';
import { keyOf, nameOf, type Place, repositoryOf } from './place.ts';
import { type ServedManifest, served } from './served-manifest.ts';

export interface ManifestsByDigestOptions {
  cache: ManifestCache;
  permission: Permission;
  absences: Absences;
  isOffline: () => boolean;
}

export interface FetchedContent {
  manifest: StoredManifest;
  /** `miss`, `coalesced`, or `bypass` where the disk did not take it */
  outcome: Outcome;
}

/** Content by digest never changes: upstream is asked for bytes that are not here, and for proof, nothing else. */
export class ManifestsByDigest {
  readonly #options: ManifestsByDigestOptions;
  readonly #fetching = new SingleFlight<FetchedContent>();
  readonly #proving = new SingleFlight<boolean>();

  constructor(options: ManifestsByDigestOptions) {
    this.#options = options;
  }

  /**
   * @param wantsBody false: nothing is fetched that counts against a pull limit
   * @throws RegistryError, UpstreamError
   */
  async get(place: Place, digest: Digest, wantsBody: boolean): Promise<ServedManifest> {
    const { cache, permission, absences, isOffline } = this.#options;
    const { upstream, repository } = place;
    const isHeld = permission.holds(upstream.host, repository, digest);
    const stored = cache.hot(digest) ?? (await cache.get(digest));
    if (stored && isHeld) return served(stored, 'hit');
    if (isOffline()) return this.#offline(place, digest, stored);
    absences.check(keyOf(place, digest));
    if (stored) return await this.#proven(place, stored);
    if (!wantsBody) return await this.#head(place, digest);
    const { manifest, outcome } = await this.fetch(place, digest);
    return served(manifest, outcome);
  }

  /**
   * One download for all who ask, repeated once where it brought something else.
   * @throws RegistryError, UpstreamError
   */
  async fetch(place: Place, digest: Digest): Promise<FetchedContent> {
    const { result, joined } = this.#fetching.run(keyOf(place, digest), () => this.#download(place, digest));
    const fetched = await result;
    return joined ? { ...fetched, outcome: 'coalesced' } : fetched;
  }

  /** @returns whether it can be served now without asking anyone */
  async isServable(place: Place, digest: Digest): Promise<boolean> {
    const { cache, permission } = this.#options;
    const isHeld = permission.holds(place.upstream.host, place.repository, digest);
    return isHeld && (await cache.get(digest)) !== undefined;
  }

  #offline(place: Place, digest: Digest, stored: StoredManifest | undefined): ServedManifest {
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
    const prove = async (): Promise<boolean> => {
      const head = await upstream.client.headManifest(repository, reference, upstream.confirmMs);
      if (head) permission.grant(upstream.host, repository, digest);
      return head !== undefined;
    };
    try {
      if (await this.#proving.run(keyOf(place, digest), prove).result) return served(stored, 'hit');
    } catch (error) {
      if (!cannotSay(error) || !permission.isNamed(repositoryOf(place), digest)) throw error;
      return { ...served(stored, 'stale'), upstreamStatus: upstreamStatusOf(error) };
    }
    throw this.#absent(place, digest);
  }

  async #head(place: Place, digest: Digest): Promise<ServedManifest> {
    const head = await place.upstream.client.headManifest(place.repository, { kind: 'digest', digest });
    if (!head) throw this.#absent(place, digest);
    const mediaType = head.mediaType ?? 'application/json';
    return { outcome: 'miss', digest, mediaType, size: head.size, body: undefined, ageMs: 0 };
  }

  async #download(place: Place, digest: Digest): Promise<FetchedContent> {
    const { cache, permission } = this.#options;
    const { upstream, repository } = place;
    const reference: Reference = { kind: 'digest', digest };
    // Another flight may have ended between the caller's look into the cache and this one.
    const stored = await cache.get(digest);
    if (stored && permission.holds(upstream.host, repository, digest))
      return { manifest: stored, outcome: 'coalesced' };
    for (let attempt = 1; attempt <= 2; attempt++) {
      const fetched = await upstream.client.manifest(repository, reference, { isAfresh: attempt > 1 });
      if (!fetched) throw this.#absent(place, digest);
      const added = await cache.add(fetched.body, fetched.mediaType, digest);
      if (!added) continue;
      permission.grant(upstream.host, repository, digest);
      return { manifest: added.manifest, outcome: added.isStored ? 'miss' : 'bypass' };
    }
    throw wrongContent(nameOf(place, reference));
  }

  #absent(place: Place, digest: Digest): RegistryError {
    const error = manifestUnknown(nameOf(place, { kind: 'digest', digest }));
    return this.#options.absences.remember(keyOf(place, digest), error, place.upstream.notFoundTtlMs);
  }
}

/** @returns whether upstream was asked and does not have, or does not send, the manifest with that digest */
export function isNoSuchManifest(error: unknown): boolean {
  if (!(error instanceof RegistryError) || isOfflineUnknown(error)) return false;
  return error.code === 'MANIFEST_UNKNOWN' || error.status === 502;
}

/** Upstream sent bytes that are no manifest, or not the one that was asked for. */
export function wrongContent(reference: string): RegistryError {
  return unavailable(`${reference}: what upstream sent is not this manifest; ask again`, 502, 5);
}
