/** Owns work that no client waits for: bounded, once at a time for each thing, and nobody's failure. */

export class Behind {
  readonly #max: number;
  readonly #failed: (key: string, error: unknown) => void;
  readonly #running = new Map<string, Promise<void>>();

  /**
   * @param max how much runs at a time; more is not begun: who asks next begins it
   * @param failed told what the work threw
   */
  constructor(max: number, failed: (key: string, error: unknown) => void) {
    this.#max = max;
    this.#failed = failed;
  }

  /** Begins the work, unless it runs under this key or there is too much. It must have a deadline of its own. */
  begin(key: string, work: () => Promise<unknown>): void {
    if (this.#running.has(key) || this.#running.size >= this.#max) return;
    const ended = work()
      .catch((error: unknown) => this.#failed(key, error))
      .then(() => void this.#running.delete(key));
    this.#running.set(key, ended);
  }

  /** Resolves when what runs now has ended, in whatever way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }
}
