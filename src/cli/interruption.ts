/** Owns the end of a command by a signal: what it does is ended cleanly, and soon. */
import { constants } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';

type Signal = 'SIGINT' | 'SIGTERM';

/** The user, or whoever started the command, wants no more of it. */
export class InterruptedError extends Error {
  /** as a shell has it for a program that a signal ended */
  readonly exitCode: number;

  /** @param message what of the work is kept, and what to do to go on */
  constructor(message: string, signal: Signal) {
    super(message);
    this.name = 'InterruptedError';
    this.exitCode = exitCodeOf(signal);
  }
}

/** What is cleaned up after an interruption has this long; what goes on after that is of no use to anybody. */
const END_MS = 10_000;
const AFTERWARDS_MS = 500;
const RETURN_MS = 5_000;

/**
 * Runs `work` with a signal that aborts with an InterruptedError on Ctrl-C and SIGTERM. A second one does not wait.
 * @param message what of the work is kept, and what to do to go on
 * @throws InterruptedError; what `work` throws
 */
export async function untilInterrupted<T>(
  message: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interrupted = new AbortController();
  let received: Signal = 'SIGINT';
  const interrupt = (signal: Signal): void => {
    received = signal;
    if (interrupted.signal.aborted) process.exit(exitCodeOf(signal));
    interrupted.abort(new InterruptedError(message, signal));
    exitIn(END_MS, signal);
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    return await work(interrupted.signal);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    exitIn(AFTERWARDS_MS, received);
    throw interrupted.signal.reason; // whatever broke because of it
  } finally {
    if (!interrupted.signal.aborted) process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** Reads `items` until the signal aborts, and then no longer waits for the next. @throws the signal's reason */
export async function* readUntil<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const { done, value } = await nextUntil(iterator, signal);
      isOver = done === true;
      if (isOver) return;
      yield value;
    }
  } finally {
    // A generator that waits hears of it only with its next item.
    if (!isOver) await Promise.race([iterator.return?.(), wait(RETURN_MS, undefined, { ref: false })]);
  }
}

function nextUntil<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

function exitIn(ms: number, signal: Signal): void {
  setTimeout(() => process.exit(exitCodeOf(signal)), ms).unref();
}

function exitCodeOf(signal: Signal): number {
  return 128 + constants.signals[signal];
}
