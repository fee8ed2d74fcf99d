/** Owns a clock that a test moves. */

export interface Clock {
  /** ms since the epoch */
  readonly now: () => number;
  pass(ms: number): void;
}

export function makeClock(): Clock {
  let nowMs = Date.now();
  return {
    now: () => nowMs,
    pass: (ms) => {
      nowMs += ms;
    },
  };
}
