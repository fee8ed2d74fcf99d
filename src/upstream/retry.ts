/** Owns trying again: how often, how long to wait between. */
import { setTimeout as wait } from 'node:timers/promises';
import { UpstreamError } from './errors.ts';
import type { OfflineSwitch } from './offline-switch.ts';

/** Between attempts at one question. */
const ATTEMPTS = { firstMs: 200, maxMs: 5_000 };

/**
 * @param attempt 1 after the first failure
 * @param random 0 … 1; jitter keeps a fleet from coming back in step
 * @returns ms to wait: doubling, between half and the whole of it
 */
export function pauseMs(attempt: number, random: number, { firstMs, maxMs } = ATTEMPTS): number {
  const whole = Math.min(maxMs, firstMs * 2 ** (attempt - 1));
  return whole / 2 + (whole / 2) * random;
}

/**
 * Waits before the next attempt; no longer once hubcap is offline, as the attempt then says.
 * @throws the signal's reason when it is aborted first
 */
export async function pause(ms: number, signal: AbortSignal, offline?: OfflineSwitch): Promise<void> {
  const over = new AbortController();
  const forget = offline?.whenOffline(() => over.abort());
  if (offline?.isOffline()) over.abort();
  try {
    await wait(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) });
  } catch {
    signal.throwIfAborted(); // the timer's own AbortError says less
  } finally {
    forget?.();
  }
}

/**
 * Runs `work` until it succeeds, fails for good, or has failed `retries` times more.
 * @throws UpstreamError, the last one
 */
export async function withRetries<T>(
  retries: number,
  signal: AbortSignal,
  work: () => Promise<T>,
  offline?: OfflineSwitch,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isOver = signal.aborted || attempt > retries;
      if (isOver || !(error instanceof UpstreamError) || !error.isTransient) throw error;
      try {
        await pause(pauseMs(attempt, Math.random()), signal, offline);
      } catch {
        throw error; // the deadline came first: why upstream failed says more than that it did
      }
    }
  }
}
