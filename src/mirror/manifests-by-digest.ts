/** Owns how a manifest is obtained by digest: from the store where the repository holds it, else once from upstream. */
import { algorithmOf, type Digest } from '../oci/digest.ts';
import {
  isOfflineUnknown,
  manifestUnknown,
  offlineUnknown,
  RegistryError,
  unavailable,
} from '../oci/registry-error.ts';
import type { Doubt, Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { ManifestHead } from '../upstream/upstream.ts';
import type { Absences } from './absences.ts';
import { cannotSay, upstreamStatusOf } from './failures.ts';
import type { ManifestCache, StoredManifest } from './manifest-cache.ts';
import type { Permission } from './permission.ts';
import { keyOf, nameOf, type Place } from './place.ts';
import { type ServedManifest, served } from './served-manifest.ts';

export interface ManifestsByDigestOptions {
  cache: ManifestCache;
  permission: Permission;
  absences: Absences;
  isOffline: () => boolean;
  /** told when upstream does not have any more what it had */
  revoked: (place: Place, digest: Digest) => void;
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
  readonly #heading = new SingleFlight<ManifestHead | undefined>();

  constructor(options: ManifestsByDigestOptions) {
    this.#options = options;
  }

  /**
   * @param wantsBody false: nothing is fetched that counts against a pull limit
   * @throws RegistryError, UpstreamError
   */
  async get(place: Place, digest: Digest, wantsBody: boolean): Promise<ServedManifest> {
    const { cache, permission, absences, isOffline } = this.#options;
    const grant = permission.state(place, digest);
    const stored = cache.hot(digest) ?? (await cache.get(digest));
    if (stored && grant === 'held') return served(stored, 'hit');
    if (isOffline()) return this.#offline(place, digest, stored);
    if (stored && (grant === 'unconfirmed' || grant === 'kept')) return doubtful(stored, grant);
    absences.check(keyOf(place, digest));
    if (stored) return await this.#proven(place, stored, grant !== 'none');
    if (!wantsBody) return await this.#head(place, digest);
    const { manifest, outcome } = await this.fetch(place, digest);
    return served(manifest, outcome);
  }

  /**
   * One download for all who ask, repeated once where it brought something else.
   * @param isBackground whether nobody waits for it: then the reserve of a pull limit is not spent
   * @throws RegistryError, UpstreamError
   */
  async fetch(place: Place, digest: Digest, isBackground = false): Promise<FetchedContent> {
    const work = (): Promise<FetchedContent> => this.#download(place, digest, isBackground);
    const { result, joined } = this.#fetching.run(keyOf(place, digest), work);
    try {
      const fetched = await result;
      return joined ? { ...fetched, outcome: 'coalesced' } : fetched;
    } catch (error) {
      // Who joined a download that nobody waits for is refused only what clients are refused.
      const isRefusal = error instanceof UpstreamError && error.reason === 'throttled';
      if (!joined || isBackground || !isRefusal) throw error;
      return await this.#fetching.run(keyOf(place, digest), work).result;
    }
  }

  /**
   * Brings a manifest into the store, for nobody: the reserve of a pull limit is not spent.
   * @throws RegistryError, UpstreamError
   */
  async obtain(place: Place, digest: Digest): Promise<FetchedContent> {
    const { cache, permission, absences, isOffline } = this.#options;
    const stored = await cache.get(digest);
    const grant = permission.state(place, digest);
    if (!stored && isOffline())
      throw offlineUnknown(nameOf(place, { kind: 'digest', digest }), 'MANIFEST_UNKNOWN');
    if (!stored) {
      absences.check(keyOf(place, digest));
      return await this.fetch(place, digest, true);
    }
    if (grant !== 'held' && !isOffline()) await this.#proven(place, stored, grant !== 'none');
    return { manifest: stored, outcome: 'hit' };
  }

  /** @returns whether it can be served now without asking anyone */
  async isServable(place: Place, digest: Digest): Promise<boolean> {
    const { cache, permission } = this.#options;
    if (permission.state(place, digest) === 'none') return false;
    return (cache.hot(digest) ?? (await cache.get(digest))) !== undefined;
  }

  #offline(place: Place, digest: Digest, stored: StoredManifest | undefined): ServedManifest {
    const isNamed = this.#options.permission.isNamed(place, digest);
    if (stored && isNamed) return served(stored, 'hit');
    throw offlineUnknown(nameOf(place, { kind: 'digest', digest }), 'MANIFEST_UNKNOWN');
  }

  /**
   * The bytes are here by way of another repository, or upstream's word is old: it must say that this one holds them.
   * @param wasHeld whether it has said so before
   */
  async #proven(place: Place, stored: StoredManifest, wasHeld: boolean): Promise<ServedManifest> {
    const { permission } = this.#options;
    const { upstream } = place;
    const { digest } = stored;
    try {
      if (await this.#askHead(place, digest, upstream.confirmMs).result) return served(stored, 'hit');
    } catch (error) {
      if (!cannotSay(error) || !(wasHeld || permission.isNamed(place, digest))) throw error;
      permission.pause(place, digest, 'unconfirmed');
      return doubtful(stored, 'unconfirmed', upstreamStatusOf(error));
    }
    if (!wasHeld || !upstream.keepDeleted) throw this.#absent(place, digest);
    permission.pause(place, digest, 'kept');
    return doubtful(stored, 'kept');
  }

  async #head(place: Place, digest: Digest): Promise<ServedManifest> {
    const { result, joined } = this.#askHead(place, digest);
    const head = await result;
    if (!head) throw this.#absent(place, digest);
    const mediaType = head.mediaType ?? 'application/json';
    const outcome = joined ? 'coalesced' : 'miss';
    return { outcome, digest, mediaType, size: head.size, body: undefined, ageMs: 0 };
  }

  /** One question for all who ask; its answer is proof. */
  #askHead(place: Place, digest: Digest, deadlineMs?: number) {
    const { client } = place.upstream;
    return this.#heading.run(keyOf(place, digest), async () => {
      const head = await client.headManifest(place.repository, { kind: 'digest', digest }, deadlineMs);
      if (head && isOther(head.digest, digest)) throw wrongContent(nameOf(place, { kind: 'digest', digest }));
      if (head) this.#options.permission.grant(place, digest, client);
      return head;
    });
  }

  async #download(place: Place, digest: Digest, isBackground: boolean): Promise<FetchedContent> {
    const { cache, permission } = this.#options;
    const { repository } = place;
    const { client } = place.upstream;
    const reference = { kind: 'digest', digest } as const;
    // Another flight may have ended between the caller's look into the cache and this one.
    const stored = await cache.get(digest);
    if (stored && permission.state(place, digest) === 'held')
      return { manifest: stored, outcome: 'coalesced' };
    for (let attempt = 1; attempt <= 2; attempt++) {
      const isAfresh = attempt > 1;
      const fetched = await client.manifest(repository, reference, { isAfresh, isBackground });
      if (!fetched) throw this.#absent(place, digest);
      const added = await cache.add(fetched.body, fetched.mediaType, digest);
      if (!added) continue;
      permission.grant(place, digest, client);
      return { manifest: added.manifest, outcome: added.isStored ? 'miss' : 'bypass' };
    }
    throw wrongContent(nameOf(place, reference));
  }

  #absent(place: Place, digest: Digest): RegistryError {
    const { permission, revoked } = this.#options;
    if (permission.revoke(place, digest, 'manifest')) revoked(place, digest);
    const error = manifestUnknown(nameOf(place, { kind: 'digest', digest }));
    return this.#options.absences.remember(keyOf(place, digest), error, place.upstream.notFoundTtlMs);
  }
}

/** Whether upstream names another manifest than it was asked for. By another algorithm it may be the same. */
function isOther(named: Digest | undefined, asked: Digest): boolean {
  return named !== undefined && named !== asked && algorithmOf(named) === algorithmOf(asked);
}

function doubtful(stored: StoredManifest, doubt: Doubt, upstreamStatus?: number): ServedManifest {
  return { ...served(stored, 'stale'), doubt, upstreamStatus: doubt === 'kept' ? 404 : upstreamStatus };
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
