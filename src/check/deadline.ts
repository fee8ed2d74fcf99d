/** Owns the time that checks take: each step has a deadline, and all of them together. */

/** A step has so long. */
export const STEP_MS = 8_000;
/** All of them together. */
export const TOTAL_MS = 28_000;

/** A step took too long. */
export class LateError extends Error {
  constructor(ms: number) {
    super(`no answer within ${ms / 1000} s`);
    this.name = 'LateError';
  }
}

/** @returns a signal for one step: aborted at its deadline, or with the whole */
export function stepSignal(whole: AbortSignal, ms: number = STEP_MS): AbortSignal {
  return AbortSignal.any([whole, AbortSignal.timeout(ms)]);
}

/**
 * Waits for what cannot be aborted no longer than that.
 * @throws LateError; the signal's reason; what `work` throws
 */
export async function within<T>(work: Promise<T>, whole: AbortSignal, ms: number = STEP_MS): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new LateError(ms)), ms);
  const stop = (): void => late.reject(whole.reason);
  if (whole.aborted) stop();
  whole.addEventListener('abort', stop, { once: true });
  work.catch(() => undefined); // told below, or too late for anybody
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    whole.removeEventListener('abort', stop);
  }
}
