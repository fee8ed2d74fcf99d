/** Owns how counts, shares and times are written on the page. Pure; sizes and durations are written as the CLI does. */
import { formatDuration } from '../src/units.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const counts = new Intl.NumberFormat('en');

/** @returns `20,000` */
export function formatCount(count: number): string {
  return counts.format(Math.round(count));
}

/** @returns `1 image`, `2,000 images` */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/**
 * @param share 0 to 1
 * @returns `97.3 %`; `0 %` and `100 %` only where it is just that; a dash where there is none
 */
export function formatShare(share: number | undefined): string {
  if (share === undefined || !Number.isFinite(share)) return '–';
  if (share <= 0 || share >= 1) return `${share <= 0 ? 0 : 100} %`;
  const percent = Math.min(99.9, Math.max(0.1, Math.round(share * 1000) / 10));
  return `${percent} %`;
}

/** @returns a duration in its two largest units, as the CLI writes them: `45s`, `3m20s`, `5h10m`, `2d4h` */
export function formatSpan(spanMs: number): string {
  const unit = spanMs >= DAY ? HOUR : spanMs >= HOUR ? MINUTE : SECOND;
  return formatDuration(Math.floor(Math.max(0, spanMs) / unit) * unit);
}

/** @returns in whole seconds, minutes, hours or days: `just now`, `45s ago`, `3m ago`, `2d ago` */
export function formatAgo(agoMs: number): string {
  if (agoMs < 2 * SECOND) return 'just now';
  const unit = [DAY, HOUR, MINUTE].find((size) => agoMs >= size) ?? SECOND;
  return `${formatDuration(Math.floor(agoMs / unit) * unit)} ago`;
}

const timeOfDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayAndTime = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
const minuteOfDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });

/** @returns the local time: `14:32:05` when it is less than half a day from now, else `22 Nov, 14:32` */
export function formatMoment(atMs: number, nowMs: number): string {
  return (Math.abs(nowMs - atMs) < DAY / 2 ? timeOfDay : dayAndTime).format(atMs);
}

/** @returns the local time to the minute: `14:32` */
export function formatMinute(atMs: number): string {
  return minuteOfDay.format(atMs);
}

/** @returns `14:32:05 (in 3m20s)` */
export function formatUntil(untilMs: number, nowMs: number): string {
  return `${formatMoment(untilMs, nowMs)} (${untilMs > nowMs ? `in ${formatSpan(untilMs - nowMs)}` : 'now'})`;
}

/** @returns the algorithm and twelve digits of a digest: `sha256:0123456789ab` */
export function shortDigest(digest: string): string {
  return /^([\w+.-]+:[\da-f]{12})/.exec(digest)?.[1] ?? digest.slice(0, 19);
}

/** @returns the words as a list of them is said: `a, b and c` */
export function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
