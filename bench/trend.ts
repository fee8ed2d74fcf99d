/** Owns whether something that was sampled has come to rest. Pure. */

export interface Trend {
  start: number;
  peak: number;
  /** mean of the last tenth */
  end: number;
  /** how much the straight line through the last half (least squares) rises from its first sample to its last */
  rise: number;
  /** mean of the last half */
  level: number;
}

/** @param samples at equal distances in time, the oldest first */
export function trendOf(samples: readonly number[]): Trend {
  const half = samples.slice(samples.length >> 1);
  const tenth = samples.slice(Math.floor(samples.length * 0.9));
  const level = mean(half);
  const middle = (half.length - 1) / 2;
  const spread = half.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  const slope = half.reduce((sum, value, i) => sum + (i - middle) * (value - level), 0) / (spread || 1);
  return {
    start: samples[0] ?? Number.NaN,
    peak: Math.max(...samples),
    end: mean(tenth),
    rise: slope * (half.length - 1),
    level,
  };
}

/** Flat: over the last half the line rises by no more than a share of its level, or than `floor` where that is more. */
export function mostRise({ level }: Trend, share: number, floor: number): number {
  return Math.max(share * level, floor);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
