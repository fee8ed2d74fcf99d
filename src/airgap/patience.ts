/** Owns what a run waits for: what is down for a moment, and a rate limit until upstream says that it may be asked again. */
import { setTimeout as wait } from 'node:timers/promises';
import { RegistryError } from '../oci/registry-error.ts';
import type { ImageInWork } from './image-in-work.ts';

/** A limit that lasts longer is a failure. */
export const MAX_WAIT_MS = 24 * 3600_000;
/** A timer may be early. */
const GRACE_MS = 500;
const TRANSIENT_WAIT_MS = [1_000, 4_000];
const SECOND = 1_000;

/**
 * Does what upstream may refuse for a moment, again when the moment is over.
 * @throws what `work` throws where that does not help
 */
export async function patiently<T>({ signal }: ImageInWork, work: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const waitMs = isTransient(error) ? TRANSIENT_WAIT_MS[failures] : undefined;
      if (waitMs === undefined) throw error;
      await wait(waitMs, undefined, { signal });
    }
  }
}

/** @returns how long to wait until upstream may be asked again, ms; undefined where the error is no rate limit */
export function limitWaitMs(error: unknown): number | undefined {
  const isLimit = error instanceof RegistryError && error.status === 429;
  return isLimit ? (error.retryAfterS ?? 60) * SECOND + GRACE_MS : undefined;
}

function isTransient(error: unknown): boolean {
  return error instanceof RegistryError && error.status >= 502 && error.status <= 504;
}
