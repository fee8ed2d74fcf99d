/** Owns "one question for all who ask": concurrent calls with one key share one promise. */

/**
 * Bounded by its callers: an entry lives exactly as long as its work runs. Work must have a deadline of its own;
 * it belongs to no caller, so none can cancel it for the others.
 */
export class SingleFlight<V> {
  readonly #running = new Map<string, Promise<V>>();

  get size(): number {
    return this.#running.size;
  }

  /** @returns the result of the work that runs under `key`, started here unless it already runs; `joined` says which */
  run(key: string, work: () => Promise<V>): { result: Promise<V>; joined: boolean } {
    const running = this.#running.get(key);
    if (running) return { result: running, joined: true };
    const result = work().finally(() => this.#running.delete(key));
    this.#running.set(key, result);
    return { result, joined: false };
  }
}
