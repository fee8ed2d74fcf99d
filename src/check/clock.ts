/** Owns the check of this machine's clock, against those of the upstreams. Pure. */
import { type Finding, voiceOf } from './check.ts';

const say = voiceOf('clock');
/** Nobody ran this version before it was written. */
const WRITTEN_MS = Date.UTC(2026, 0, 1);
/** Tokens and certificates of a minute's age are refused by who is a minute behind. */
const MAX_OFFSET_MS = 60_000;
const REMEDY = 'set it, and keep it right: `timedatectl set-ntp true`';

/** What one upstream's `Date` says. */
export interface ClockReading {
  host: string;
  /** how far this clock is ahead of it, ms */
  offsetMs: number;
}

/** @param beforeMs when it was asked. @param afterMs when it answered. @returns undefined where `Date` says nothing */
export function readClock(
  host: string,
  date: string | undefined,
  beforeMs: number,
  afterMs: number,
): ClockReading | undefined {
  const theirsMs = Date.parse(date ?? '');
  if (!Number.isFinite(theirsMs)) return undefined;
  // It is cut to whole seconds, and was written at some time between question and answer.
  const [leastMs, mostMs] = [beforeMs - theirsMs - 1000, afterMs - theirsMs];
  const offsetMs = leastMs > 0 ? leastMs : mostMs < 0 ? mostMs : 0;
  return { host, offsetMs };
}

/** One upstream's clock may be wrong: the one that agrees most with this one counts. */
export function checkClock(readings: readonly ClockReading[], nowMs: number): Finding[] {
  if (nowMs < WRITTEN_MS) {
    const message = `the clock says ${new Date(nowMs).toISOString().slice(0, 10)}, before this version was written: no certificate is valid then`;
    return [say.failed('clock', message, REMEDY)];
  }
  const [first, ...others] = readings;
  if (!first) return [say.skipped('clock', 'no upstream said what time it is')];
  const size = ({ offsetMs }: ClockReading): number => Math.abs(offsetMs);
  const nearest = others.reduce((best, one) => (size(one) < size(best) ? one : best), first);
  const seconds = Math.round(size(nearest) / 1000);
  const facts = { host: nearest.host, offsetS: Math.round(nearest.offsetMs / 1000) };
  if (size(nearest) <= MAX_OFFSET_MS)
    return [
      say.ok(
        'clock',
        `the clock is ${seconds < 2 ? 'right' : `${seconds} s off`}, by ${nearest.host}`,
        facts,
      ),
    ];
  const direction = nearest.offsetMs > 0 ? 'ahead of' : 'behind';
  const message = `the clock is ${seconds} s ${direction} that of ${nearest.host}: tokens and certificates are refused`;
  return [say.failed('clock', message, REMEDY, facts)];
}
