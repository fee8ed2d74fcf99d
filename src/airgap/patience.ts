/** Owns waiting for a rate limit: until upstream says that it may be asked again, and no longer. */
import { setTimeout as wait } from 'node:timers/promises';
import { RegistryError } from '../oci/registry-error.ts';
import type { ImageInWork } from './image-in-work.ts';

/** A limit that lasts longer is a failure. */
const MAX_WAIT_MS = 24 * 3600_000;
/** A timer may be early. */
const GRACE_MS = 500;
/** For what is down for a moment. */
const TRANSIENT_WAIT_MS = [1_000, 4_000];
const SECOND = 1_000;

/**
 * Does what upstream may refuse for a while, again when the while is over.
 * @throws what `work` throws where waiting does not help, or is not wanted
 */
export async function patiently<T>(image: ImageInWork, work: () => Promise<T>): Promise<T> {
  const { signal, parts } = image;
  const endMs = parts.now() + MAX_WAIT_MS;
  for (let failures = 0; ; ) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const isLimit = error instanceof RegistryError && error.status === 429;
      const waitMs = isLimit ? limitMs(image, error, endMs) : transientMs(error, failures++);
      if (waitMs === undefined) throw error;
      await wait(waitMs, undefined, { signal });
    }
  }
}

function limitMs(
  { request, parts, place, tell }: ImageInWork,
  error: RegistryError,
  endMs: number,
): number | undefined {
  const waitMs = (error.retryAfterS ?? 60) * SECOND + GRACE_MS;
  const untilMs = parts.now() + waitMs;
  if (!request.isPatient || request.isDryRun || untilMs > endMs) return undefined;
  tell({
    kind: 'waiting',
    reference: place.text,
    until: new Date(untilMs).toISOString(),
    message: error.message,
  });
  return waitMs;
}

function transientMs(error: unknown, failures: number): number | undefined {
  const isTransient = error instanceof RegistryError && error.status >= 502 && error.status <= 504;
  return isTransient ? TRANSIENT_WAIT_MS[failures] : undefined;
}
