/** Owns the count of what still uses something that is to be closed when nothing does. */
import { setTimeout as wait } from 'node:timers/promises';

export class InFlight {
  #running = 0;
  /** how often anything has begun */
  #begun = 0;
  #idle = Promise.withResolvers<void>();

  get running(): number {
    return this.#running;
  }

  /** @returns what tells that it has ended; a second time it says nothing */
  begin(): () => void {
    if (this.#running === 0) this.#idle = Promise.withResolvers();
    this.#running += 1;
    this.#begun += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#running -= 1;
      if (this.#running === 0) this.#idle.resolve();
    };
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const end = this.begin();
    try {
      return await work();
    } finally {
      end();
    }
  }

  /**
   * Resolves when nothing has run for a while: whoever asks several questions one after the other is not done between
   * two of them.
   * @param quietMs how long is a while
   * @param signal ends the waiting; it resolves then too
   */
  async quiet(quietMs: number, signal: AbortSignal): Promise<void> {
    const ended = once(signal);
    while (!signal.aborted) {
      if (this.#running > 0) await Promise.race([this.#idle.promise, ended]);
      const begun = this.#begun;
      await wait(quietMs, undefined, { signal, ref: false }).catch(() => undefined); // the loop looks why
      if (this.#running === 0 && this.#begun === begun) return;
    }
  }
}

/**
 * Tells when items have been read. Who has no use for what it opened may never begin to, and ends it by its signal.
 * @param end called when all is read, or no more will be
 */
export function untilRead<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
  end: () => void,
): AsyncGenerator<T, void, void> {
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  return telling(items, () => {
    signal.removeEventListener('abort', end);
    end();
  });
}

async function* telling<T>(items: AsyncIterable<T>, end: () => void): AsyncGenerator<T, void, void> {
  try {
    yield* items;
  } finally {
    end();
  }
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
