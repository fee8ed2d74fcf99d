/** Owns how long something is left alone: until a time that upstream named, else ever longer. */

export interface RestOptions {
  /** how long, where nobody says; doubles with each time */
  firstMs: number;
  maxMs: number;
  now: () => number;
  /** 0 … 1; jitter keeps a fleet from coming back in step */
  random: () => number;
}

/** When a guessed time is over, one question goes ahead; the others wait for its answer, for so long at most. */
const PROBE_MS = 5_000;

/**
 * Many questions may meet the same refusal at once: the first begins the rest, the others find that it has begun.
 * An answer to what was asked before it began does not end it: that is what the era is for.
 */
export class Rest {
  readonly #options: RestOptions;
  #fromMs = 0;
  #untilMs = 0;
  #era = 0;
  /** how many rests in a row had a time that was guessed */
  #guesses = 0;
  #isGuess = false;
  #isProbing = false;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  /** to be noted when a question is sent, and given back with what its answer means */
  get era(): number {
    return this.#era;
  }

  /** ms until asking makes sense, 0 where it does now */
  get leftMs(): number {
    const nowMs = this.#options.now();
    return nowMs < this.#fromMs ? 0 : Math.max(0, this.#untilMs - nowMs); // a clock that is set back ends it
  }

  /** whether one has gone ahead, and the others wait for its answer */
  get isProbing(): boolean {
    return this.#isProbing && this.leftMs > 0;
  }

  /** Asks to go ahead. @returns 0 where that makes sense now, else the ms until it does */
  enter(): number {
    const { leftMs } = this;
    if (leftMs > 0 || !this.#isGuess) return leftMs;
    this.#fromMs = this.#options.now();
    this.#untilMs = this.#fromMs + PROBE_MS;
    this.#isProbing = true;
    return 0;
  }

  /** Who went ahead learnt nothing: the next may. */
  leave(): void {
    if (!this.#isProbing) return;
    this.#isProbing = false;
    this.#untilMs = 0;
  }

  /**
   * Asking makes no sense for a while.
   * @param namedMs from now, where upstream said so; it never shortens a rest
   * @returns whether it begins now, and had not before
   */
  begin(namedMs?: number): boolean {
    const { firstMs, maxMs, now, random } = this.#options;
    const isResting = this.leftMs > 0 && !this.#isProbing;
    if (isResting && namedMs === undefined) return false;
    const guessMs = Math.min(maxMs, firstMs * 2 ** this.#guesses * (1 + random() / 4));
    if (!isResting) this.#fromMs = now();
    const untilMs = now() + (namedMs ?? guessMs);
    this.#untilMs = isResting ? Math.max(this.#untilMs, untilMs) : untilMs;
    this.#isGuess = namedMs === undefined;
    this.#isProbing = false;
    if (this.#isGuess) this.#guesses += 1;
    if (!isResting) this.#era += 1;
    return !isResting;
  }

  /** It is well again, by an answer to a question of that era. */
  end(era: number): void {
    if (era !== this.#era) return;
    this.#untilMs = 0;
    this.#guesses = 0;
    this.#isGuess = false;
    this.#isProbing = false;
  }
}
