/** Owns chance that can be repeated: the same seed makes the same choices. */

export interface Random {
  readonly seed: number;
  /** an integer, both ends included */
  between(from: number, to: number): number;
  pick<T>(from: readonly [T, ...T[]]): T;
}

/** @param seed 32 bits of it count */
export function makeRandom(seed: number): Random {
  let state = seed | 0;
  // Mulberry32: small, and good enough for choosing.
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return { seed, between, pick: (from) => from[between(0, from.length - 1)] ?? from[0] };
}

/** @param setting what the environment says; anything where it says nothing */
export function seedFrom(setting: string | undefined): number {
  return setting ? Number(setting) : Math.floor(Math.random() * 2 ** 31);
}
