/** Owns how tests wait: for a gate that they open, or for something that can be observed. Never for a time. */

export interface Gate {
  /** resolves when the gate is open */
  readonly opened: Promise<void>;
  open(): void;
}

export function makeGate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

const DEADLINE_MS = 10_000;

/**
 * Waits until what is observed is so.
 * @param what is awaited, for the error
 * @param everyMs how often it is looked at; each turn of the event loop where it is left out
 * @throws Error where it does not become so within the deadline
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  everyMs?: number,
): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) =>
      everyMs === undefined ? setImmediate(resolve) : setTimeout(resolve, everyMs),
    );
  }
}
