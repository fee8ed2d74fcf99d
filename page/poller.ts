/** Owns asking again and again: one question at a time, each with a deadline, slower while it fails, never while hidden. */

export interface PollerOptions<T> {
  intervalMs: number;
  deadlineMs: number;
  ask: (signal: AbortSignal) => Promise<T>;
  got: (answer: T) => void;
  /** @param failures in a row */
  failed: (error: unknown, failures: number) => void;
  timers?: Timers;
  /** 0 to 1 */
  random?: () => number;
}

export interface Timers {
  set: (then: () => void, afterMs: number) => unknown;
  clear: (timer: unknown) => void;
}

const MAX_WAIT_MS = 20_000;

const realTimers: Timers = {
  set: (then, afterMs) => setTimeout(then, afterMs),
  clear: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/**
 * @param failures in a row
 * @param random 0 to 1: many pages do not come back to a daemon at the same moment
 */
export function waitMs(intervalMs: number, failures: number, random: number): number {
  if (failures === 0) return intervalMs;
  const waitMs = Math.min(MAX_WAIT_MS, intervalMs * 2 ** (failures - 1));
  return Math.round(waitMs * (0.8 + 0.4 * random));
}

export class Poller<T> {
  readonly #options: PollerOptions<T>;
  readonly #timers: Timers;
  #timer: unknown;
  #asking: AbortController | undefined;
  #failures = 0;
  #isPaused = true;

  constructor(options: PollerOptions<T>) {
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
  }

  /** Asks now, and from now on. What is being asked is given up: the answer to the newer question counts. */
  start(): void {
    this.#isPaused = false;
    void this.#ask();
  }

  /** Asks nothing until `start`. */
  pause(): void {
    this.#isPaused = true;
    this.#timers.clear(this.#timer);
    this.#asking?.abort();
    this.#asking = undefined;
  }

  /** Asks now where it is not paused. */
  askNow(): void {
    if (!this.#isPaused) void this.#ask();
  }

  async #ask(): Promise<void> {
    const { ask, got, failed, deadlineMs, intervalMs, random = Math.random } = this.#options;
    this.#timers.clear(this.#timer);
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    const deadline = this.#timers.set(() => asking.abort(new Error('no answer in time')), deadlineMs);
    try {
      const answer = await ask(asking.signal);
      if (this.#asking !== asking) return;
      this.#failures = 0;
      got(answer);
    } catch (error) {
      if (this.#asking !== asking) return; // another question was asked since, or none is wanted
      this.#failures += 1;
      failed(error, this.#failures);
    } finally {
      this.#timers.clear(deadline);
    }
    if (this.#asking !== asking) return; // what was just shown has led to another question
    this.#asking = undefined;
    this.#timer = this.#timers.set(() => void this.#ask(), waitMs(intervalMs, this.#failures, random()));
  }
}
