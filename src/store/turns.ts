/** Owns "one after the other" for what concerns one digest: its file is placed, removed and judged in turns. */

/** Bounded by its callers: an entry lives as long as somebody's turn runs or is awaited. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` when all that was asked for `key` before has ended, in whatever way. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const ended: Promise<void> = turn.then(
      () => this.#leave(key, ended),
      () => this.#leave(key, ended), // the asker sees the failure; the next in line starts afresh
    );
    this.#last.set(key, ended);
    return turn;
  }

  #leave(key: string, ended: Promise<void>): void {
    if (this.#last.get(key) === ended) this.#last.delete(key);
  }
}
