/** Owns how fast downloads go: their progress from one look to the next. Pure but for what it remembers. */
import type { FillStatus } from '../src/admin/status.ts';

export interface RatedFill extends FillStatus {
  /** undefined at the first look */
  bytesPerS: number | undefined;
  /** until it is here, at this rate; undefined where that cannot be told */
  leftMs: number | undefined;
}

interface Look {
  atMs: number;
  bytes: number;
  bytesPerS: number | undefined;
}

/** How much the newest look counts against those before. */
const WEIGHT = 0.4;

export class FillRates {
  #looks = new Map<string, Look>();

  /** @param atMs when the fills were so; what does not run any more is forgotten */
  rate(fills: readonly FillStatus[], atMs: number): RatedFill[] {
    const looks = new Map<string, Look>();
    const rated = fills.map((fill) => {
      const bytesPerS = rateSince(this.#looks.get(fill.digest), fill.bytes, atMs);
      looks.set(fill.digest, { atMs, bytes: fill.bytes, bytesPerS });
      return { ...fill, bytesPerS, leftMs: leftOf(fill, bytesPerS) };
    });
    this.#looks = looks;
    return rated;
  }
}

function rateSince(before: Look | undefined, bytes: number, atMs: number): number | undefined {
  if (!before || atMs <= before.atMs) return before?.bytesPerS;
  const now = (Math.max(0, bytes - before.bytes) * 1000) / (atMs - before.atMs);
  return before.bytesPerS === undefined ? now : WEIGHT * now + (1 - WEIGHT) * before.bytesPerS;
}

function leftOf({ size, bytes }: FillStatus, bytesPerS: number | undefined): number | undefined {
  if (size === undefined || !bytesPerS || bytesPerS < 1) return undefined;
  return (Math.max(0, size - bytes) / bytesPerS) * 1000;
}
