/** Owns what upstream said it does not have, remembered for a short while. */
import { LRUCache } from 'lru-cache';
import type { RegistryError } from '../oci/registry-error.ts';
import { isWithin } from './freshness.ts';

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
    if (known && isWithin(known.ttlMs, known.atMs, this.#now())) throw known.error;
  }

  /** @returns when upstream said so, ms since the epoch, while its time lasts */
  saidAt(key: string): number | undefined {
    const known = this.#known.get(key);
    return known && isWithin(known.ttlMs, known.atMs, this.#now()) ? known.atMs : undefined;
  }

  /** @returns `error`, to be thrown */
  remember(key: string, error: RegistryError, ttlMs: number): RegistryError {
    if (ttlMs > 0) this.#known.set(key, { error, atMs: this.#now(), ttlMs });
    return error;
  }

  /** Upstream has said otherwise. */
  forget(key: string): void {
    this.#known.delete(key);
  }
}
