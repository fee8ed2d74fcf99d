/** Owns work that no client waits for: bounded, once at a time for each thing, and nobody's failure. */

export class Behind {
  readonly #max: number;
  readonly #failed: (key: string, error: unknown) => void;
  readonly #running = new Set<string>();

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
    this.#running.add(key);
    work()
      .catch((error: unknown) => this.#failed(key, error))
      .finally(() => this.#running.delete(key));
  }
}
