/** Owns the waiting of one reader for something to change. */

/** Any number may wait; all are woken together. */
export class WakeUp {
  #pending: PromiseWithResolvers<void> | undefined;

  /** whether somebody waits */
  get isAwaited(): boolean {
    return this.#pending !== undefined;
  }

  /** Resolves at the next `wake`. */
  wait(): Promise<void> {
    this.#pending ??= Promise.withResolvers<void>();
    return this.#pending.promise;
  }

  wake(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve();
  }
}
