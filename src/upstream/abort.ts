/** Owns giving up waiting for work that goes on for others, or that cannot be stopped. */

/**
 * @param discard what to do with a result that comes after nobody waits for it
 * @returns what `work` gives
 * @throws the signal's reason when it is aborted first; what `work` throws
 */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => void = () => undefined,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let isWaiting = true;
  const give = (): void => {
    isWaiting = false;
    reject(signal.reason);
  };
  if (signal.aborted) give();
  else signal.addEventListener('abort', give, { once: true });
  work.then(
    (result) => (isWaiting ? resolve(result) : discard(result)),
    (error: unknown) => reject(error),
  );
  try {
    return await promise;
  } finally {
    isWaiting = false;
    signal.removeEventListener('abort', give);
  }
}
