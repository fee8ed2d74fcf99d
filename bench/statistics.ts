/** Owns the arithmetic of rounds. Pure. */

/** @returns the middle value; the mean of the two in the middle where their number is even */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of the ratios of each round: what slows one round slows both sides of it. */
export function medianRatio(over: readonly number[], under: readonly number[]): number {
  return median(over.map((value, i) => value / (under[i] ?? Number.NaN)));
}

/** @returns how far the rounds lie apart, as a share of their median */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / Math.abs(median(values) || 1);
}

/** Three significant digits, with a thousands separator. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : 3;
  return value.toLocaleString(
    'en-US',
    digits === 0 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
  );
}
