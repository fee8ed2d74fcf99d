/** Owns what upstream said it does not have, remembered for a short while. */
import { LRUCache } from 'lru-cache';
import type { RegistryError } from '../oci/registry-error.ts';

const MAX_ABSENCES = 10_000;

export class Absences {
  readonly #now: () => number;
  readonly #known = new LRUCache<string, { error: RegistryError; atMs: number; ttlMs: number }>({
    max: MAX_ABSENCES,
  });

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws the error that was remembered for `key`, while its time lasts */
  check(key: string): void {
    const known = this.#known.get(key);
    if (!known) return;
    const ageMs = this.#now() - known.atMs;
    // A clock that was set back makes no answer last longer.
    if (ageMs >= 0 && ageMs < known.ttlMs) throw known.error;
  }

  /** @returns `error`, to be thrown */
  remember(key: string, error: RegistryError, ttlMs: number): RegistryError {
    if (ttlMs > 0) this.#known.set(key, { error, atMs: this.#now(), ttlMs });
    return error;
  }
}
