/** Owns how fast content arrives, for guessing how long one would wait for more of it. */

/** Before enough has arrived to tell (it comes in bursts): a slow line, so that what is far is not waited for. */
const ASSUMED_BYTES_PER_MS = 1024;
const TELLING_MS = 250;

/** A guess from all that has arrived since the start: good enough to tell half a second from ten. */
export class Pace {
  readonly #now: () => number;
  #startedAtMs: number | undefined;
  #bytes = 0;
  #lastAtMs: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#lastAtMs = now();
  }

  arrived(bytes: number): void {
    this.#startedAtMs ??= this.#now();
    this.#bytes += bytes;
    this.#lastAtMs = this.#now();
  }

  /** since something arrived, or since the start */
  get idleMs(): number {
    return this.#now() - this.#lastAtMs;
  }

  /** @returns ms until `bytes` more will have arrived */
  waitMs(bytes: number): number {
    if (bytes <= 0) return 0;
    const elapsedMs = this.#startedAtMs === undefined ? 0 : this.#now() - this.#startedAtMs;
    const bytesPerMs = elapsedMs >= TELLING_MS ? this.#bytes / elapsedMs : ASSUMED_BYTES_PER_MS;
    return bytes / bytesPerMs;
  }
}
