/** Owns who may read what: a digest is served through a repository only where that repository holds it (rule 3). */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import type { Catalog } from '../store/catalog.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { isWithin } from './freshness.ts';
import { keyOf, type Place, repositoryOf } from './place.ts';
import type { Visibility } from './visibility.ts';

export type Grant =
  /** upstream has said so, and its word still holds */
  | 'held'
  /** it has said so too long ago: it is to be asked again */
  | 'ended'
  /** as above, and it was just asked and could not say */
  | 'unconfirmed'
  /** as above, and it has said that there is no such thing any more; kept because the configuration says so */
  | 'kept'
  | 'none';

export interface PermissionOptions {
  catalog: Catalog;
  visibility: Visibility;
  isOffline: () => boolean;
  now: () => number;
}

interface Proof {
  /** ms since the epoch */
  atMs: number;
  /** what is said for a while, instead of asking again */
  pause?: { as: 'unconfirmed' | 'kept'; fromMs: number; forMs: number };
}

const MAX_REMEMBERED = 20_000;
const ASK_AGAIN_AFTER_MS = 10_000;

/**
 * Proof is upstream's word: an answer to GET or HEAD for that digest in that repository. It is in the catalog where
 * the content is stored, and goes with it; here it is remembered for a while where the content is not.
 */
export class Permission {
  readonly #options: PermissionOptions;
  readonly #proofs = new LRUCache<string, Proof>({ max: MAX_REMEMBERED });

  constructor(options: PermissionOptions) {
    this.#options = options;
  }

  /**
   * @param askedAtMs when the client asked: a proof that came after it is good for its question, however short its
   *   time is
   */
  state(place: Place, digest: Digest, askedAtMs?: number): Grant {
    const { isOffline, now } = this.#options;
    const key = keyOf(place, digest);
    const proof = this.#proofs.get(key) ?? this.#recall(place, digest, key);
    if (!proof) return 'none';
    const nowMs = now();
    if (isWithin(place.upstream.grantTtlMs, proof.atMs, nowMs) || isOffline()) return 'held';
    if (askedAtMs !== undefined && proof.atMs >= askedAtMs && proof.atMs <= nowMs) return 'held';
    const { pause } = proof;
    return pause && isWithin(pause.forMs, pause.fromMs, nowMs) ? pause.as : 'ended';
  }

  /** Upstream has proven it, now. @param client who was asked: the place may have another by now */
  grant(place: Place, digest: Digest, client: Upstream): void {
    const { catalog, visibility, now } = this.#options;
    const atMs = now();
    this.#proofs.set(keyOf(place, digest), { atMs });
    catalog.grant(repositoryOf(place), digest, atMs);
    visibility.granted(place, client);
  }

  /** The content has come into the store: what was proven of it before can be noted. */
  note(place: Place, digest: Digest): void {
    const { catalog, visibility } = this.#options;
    const proof = this.#proofs.get(keyOf(place, digest));
    if (!proof) return;
    catalog.grant(repositoryOf(place), digest, proof.atMs);
    visibility.noted(place);
  }

  /**
   * Upstream has said that the repository holds no such manifest, or no such blob. Of the other kind, that says
   * nothing: else who asks for a layer as if it were a manifest would take it from all others.
   * @returns whether it was proven before
   */
  revoke(place: Place, digest: Digest, kind: 'manifest' | 'blob'): boolean {
    const { catalog } = this.#options;
    const isNoted = catalog.holds(repositoryOf(place), digest);
    const isManifest = catalog.manifestType(digest) !== undefined;
    if (isNoted && isManifest !== (kind === 'manifest')) return false;
    if (isNoted) catalog.revoke(repositoryOf(place), digest);
    return this.#proofs.delete(keyOf(place, digest)) || isNoted;
  }

  /** Upstream could not say (`unconfirmed`), or what it no longer has is to be `kept`: it is not asked for a while. */
  pause(place: Place, digest: Digest, as: 'unconfirmed' | 'kept'): void {
    const key = keyOf(place, digest);
    const proof = this.#proofs.get(key) ?? this.#recall(place, digest, key);
    if (!proof) return;
    const forMs = as === 'kept' ? place.upstream.tagTtlMs : ASK_AGAIN_AFTER_MS;
    this.#proofs.set(key, { ...proof, pause: { as, fromMs: this.#options.now(), forMs } });
  }

  /**
   * Whether a manifest that the repository holds names the digest. It counts only while upstream cannot be
   * asked: a registry that does not check what is pushed would let a manifest name a stranger's blob.
   */
  isNamed(place: Place, digest: Digest): boolean {
    return this.namedAt(place, digest) !== undefined;
  }

  /** @returns when upstream last proved that the repository holds a manifest that names the digest */
  namedAt(place: Place, digest: Digest): number | undefined {
    return this.#options.catalog.namedAt(repositoryOf(place), digest);
  }

  #recall(place: Place, digest: Digest, key: string): Proof | undefined {
    const atMs = this.#options.catalog.provenAt(repositoryOf(place), digest);
    if (atMs === undefined) return undefined;
    const proof = { atMs };
    this.#proofs.set(key, proof);
    return proof;
  }
}
