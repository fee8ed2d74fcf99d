/** Owns the way of events from work that goes on by itself to whoever reads them. */

/**
 * Pushed events wait until they are read: whoever pushes bounds them. An offered one is for a reader who waits, and
 * else forgotten.
 */
export class EventQueue<T> {
  readonly #waiting: T[] = [];
  #isEnded = false;
  #wake: (() => void) | undefined;

  push(event: T): void {
    this.#waiting.push(event);
    this.#wake?.();
  }

  offer(event: T): void {
    if (this.#wake) this.push(event);
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** All events until the end; for one reader. */
  async *read(): AsyncGenerator<T> {
    for (;;) {
      const events = this.#waiting.splice(0);
      yield* events;
      if (this.#waiting.length > 0) continue;
      if (this.#isEnded) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
