/** Owns who may read what: a digest is served through a repository only where that repository holds it (rule 3). */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import type { Repository } from '../oci/reference.ts';
import type { Catalog, RepositoryName } from '../store/catalog.ts';

const MAX_REMEMBERED = 20_000;

/** Proof is upstream's word: an answer to GET or HEAD for that digest in that repository. */
export class Permission {
  readonly #catalog: Catalog;
  readonly #now: () => number;
  readonly #held = new LRUCache<string, 'noted' | 'remembered'>({ max: MAX_REMEMBERED });

  constructor(catalog: Catalog, now: () => number) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** @returns whether the repository was proven to hold the digest */
  holds(upstream: string, name: Repository, digest: Digest): boolean {
    const key = keyOf(upstream, name, digest);
    if (this.#held.has(key)) return true;
    if (!this.#catalog.holds({ upstream, name }, digest)) return false;
    this.#held.set(key, 'noted');
    return true;
  }

  /** Upstream has proven it. Noted in the catalog where the content is stored, remembered for a while where not. */
  grant(upstream: string, name: Repository, digest: Digest): void {
    const key = keyOf(upstream, name, digest);
    // What was noted goes with the content when that is evicted: look, it may be back without its note.
    if (this.#held.get(key) === 'noted' && this.#catalog.holds({ upstream, name }, digest)) return;
    const isNoted = this.#catalog.grant({ upstream, name }, digest, this.#now());
    this.#held.set(key, isNoted ? 'noted' : 'remembered');
  }

  /**
   * Whether a manifest that the repository holds names the digest. It counts only while upstream cannot be
   * asked: a registry that does not check what is pushed would let a manifest name a stranger's blob.
   */
  isNamed(repository: RepositoryName, digest: Digest): boolean {
    return this.#catalog.isNamed(repository, digest);
  }
}

function keyOf(upstream: string, name: Repository, digest: Digest): string {
  return `${upstream}/${name}@${digest}`;
}
