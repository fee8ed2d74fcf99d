/** Owns what the charts of the last hour are about: series, scales, and the same in words. Pure. */
import { formatBytes } from '../src/units.ts';
import { hitRateIn, type Minute, servedIn, sumOf } from './hour.ts';
import { countOf, formatCount, formatMinute, formatShare } from './words.ts';

export interface Series {
  label: string;
  /** a custom property of the style sheet */
  colour: string;
  /** bars stand on those before them; a line stands for itself */
  kind: 'bar' | 'line';
  /** undefined where there is nothing to be drawn */
  valueAt: (minutes: readonly Minute[], at: number) => number | undefined;
}

export interface ChartSpec {
  id: string;
  title: string;
  series: readonly Series[];
  format: (value: number) => string;
  /** what one may find at the axis: steps between its lines */
  steps: readonly number[];
  /** the end of the axis where all is less */
  leastMax: number;
  /** the whole hour, for who does not see the chart */
  summary: (minutes: readonly Minute[]) => string;
}

const SMOOTHED_MINUTES = 5;

const known =
  (valueAt: (minute: Minute) => number): Series['valueAt'] =>
  (minutes, at) => {
    const minute = minutes[at];
    return minute && minute.knownMs > 0 ? valueAt(minute) : undefined;
  };

/** The minute that runs is drawn as if it went on so: a bar that falls each minute would look like trouble. */
const LEAST_KNOWN_MS = 20_000;

const per = (spanMs: number, countIn: (minute: Minute) => number): Series['valueAt'] =>
  known((minute) => (countIn(minute) * spanMs) / Math.max(LEAST_KNOWN_MS, minute.knownMs));
const perMinute = (countIn: (minute: Minute) => number) => per(60_000, countIn);
const perSecond = (bytesIn: (minute: Minute) => number) => per(1_000, bytesIn);

const COUNT_STEPS = [1, 2, 5]
  .flatMap((step) => Array.from({ length: 9 }, (_, i) => step * 10 ** i))
  .sort((a, b) => a - b);
const BYTE_STEPS = Array.from({ length: 50 }, (_, i) => 2 ** i);

export const CHARTS: readonly ChartSpec[] = [
  {
    id: 'hit-rate',
    title: 'Hit rate',
    series: [
      {
        label: `over ${SMOOTHED_MINUTES} minutes`,
        colour: '--store',
        kind: 'line',
        valueAt: (minutes, at) => {
          if (minutes[at]?.knownMs === 0) return undefined;
          return hitRateIn(sumOf(minutes.slice(Math.max(0, at + 1 - SMOOTHED_MINUTES), at + 1)));
        },
      },
    ],
    format: formatShare,
    steps: [0.25, 0.5],
    leastMax: 1,
    summary: (minutes) => {
      const { hits, fetched } = sumOf(minutes);
      return hits + fetched === 0
        ? 'no requests yet'
        : `${formatShare(hitRateIn({ hits, fetched }))} of ${countOf(hits + fetched, 'request')}`;
    },
  },
  {
    id: 'requests',
    title: 'Requests per minute',
    series: [
      {
        label: 'from here',
        colour: '--store',
        kind: 'bar',
        valueAt: perMinute(({ hits, stale }) => hits - stale),
      },
      { label: 'unconfirmed', colour: '--stale', kind: 'bar', valueAt: perMinute(({ stale }) => stale) },
      { label: 'fetched', colour: '--fetched', kind: 'bar', valueAt: perMinute(({ fetched }) => fetched) },
      { label: 'failed', colour: '--failed', kind: 'bar', valueAt: perMinute(({ failed }) => failed) },
    ],
    format: formatCount,
    steps: COUNT_STEPS,
    leastMax: 4,
    summary: (minutes) => {
      const { hits, stale, fetched, failed } = sumOf(minutes);
      const unconfirmed = stale > 0 ? `, ${formatCount(stale)} unconfirmed` : '';
      return `${formatCount(hits)} from here${unconfirmed}, ${formatCount(fetched)} fetched, ${formatCount(failed)} failed`;
    },
  },
  {
    id: 'traffic',
    title: 'Traffic per second',
    series: [
      {
        label: 'from disk',
        colour: '--store',
        kind: 'bar',
        valueAt: perSecond(({ storeBytes }) => storeBytes),
      },
      {
        label: 'while it arrives',
        colour: '--fill',
        kind: 'bar',
        valueAt: perSecond(({ fillBytes }) => fillBytes),
      },
      {
        label: 'past the store',
        colour: '--stale',
        kind: 'bar',
        valueAt: perSecond(({ bypassBytes }) => bypassBytes),
      },
      {
        label: 'fetched',
        colour: '--line',
        kind: 'line',
        valueAt: perSecond(({ fetchedBytes }) => fetchedBytes),
      },
    ],
    format: (bytes) => `${formatBytes(Math.round(bytes))}/s`,
    steps: BYTE_STEPS,
    leastMax: 4096,
    summary: (minutes) => {
      const sum = sumOf(minutes);
      return `${formatBytes(Math.round(servedIn(sum)))} served, ${formatBytes(Math.round(sum.fetchedBytes))} fetched`;
    },
  },
  {
    id: 'running',
    title: 'Downloads and readers',
    series: [
      { label: 'downloads', colour: '--fetched', kind: 'bar', valueAt: known(({ fills }) => fills) },
      { label: 'readers', colour: '--line', kind: 'line', valueAt: known(({ readers }) => readers) },
    ],
    format: formatCount,
    steps: COUNT_STEPS,
    leastMax: 4,
    summary: (minutes) => {
      const most = (countOfMinute: (minute: Minute) => number): number =>
        Math.max(0, ...minutes.map(countOfMinute));
      return `at most ${countOf(
        most(({ fills }) => fills),
        'download',
      )}, ${countOf(
        most(({ readers }) => readers),
        'reader',
      )}`;
    },
  },
];

/** @returns for each series its values; bars stand on those before them. `null` where there is nothing */
export function columnsOf(spec: ChartSpec, minutes: readonly Minute[]): (number | null)[][] {
  const heights = minutes.map(() => 0);
  return spec.series.map(({ kind, valueAt }) =>
    minutes.map((_, at) => {
      const value = valueAt(minutes, at);
      if (value === undefined) return null;
      if (kind === 'line') return value;
      heights[at] = (heights[at] ?? 0) + value;
      return heights[at] ?? 0;
    }),
  );
}

const TABLE_MINUTES = 5;

export interface HourRow {
  /** `14:30 to 14:35` */
  when: string;
  cells: string[];
}

export const HOUR_HEADINGS = [
  'Time',
  'Hit rate',
  'From here',
  'Unconfirmed',
  'Fetched',
  'Failed',
  'Served',
  'Fetched bytes',
  'Downloads',
  'Readers',
] as const;

/** @returns the hour in steps of five minutes as text, the newest first, as far as anything is known of them */
export function hourRows(minutes: readonly Minute[]): HourRow[] {
  const rows: HourRow[] = [];
  for (let at = minutes.length; at > 0; at -= TABLE_MINUTES) {
    const part = minutes.slice(Math.max(0, at - TABLE_MINUTES), at);
    const [first] = part;
    if (!first || part.every(({ knownMs }) => knownMs === 0)) continue;
    const sum = sumOf(part);
    const most = (countOfMinute: (minute: Minute) => number): string =>
      formatCount(Math.max(...part.map(countOfMinute)));
    rows.push({
      when: `${formatMinute(first.startMs)} to ${formatMinute(first.startMs + part.length * 60_000)}`,
      cells: [
        formatShare(hitRateIn(sum)),
        formatCount(sum.hits - sum.stale),
        formatCount(sum.stale),
        formatCount(sum.fetched),
        formatCount(sum.failed),
        formatBytes(Math.round(servedIn(sum))),
        formatBytes(Math.round(sum.fetchedBytes)),
        most(({ fills }) => fills),
        most(({ readers }) => readers),
      ],
    });
  }
  return rows;
}
