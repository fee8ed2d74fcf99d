/** Owns the way of one question through the endpoints of an upstream. */
import type { Asked } from './circuit.ts';
import type { Endpoint } from './endpoint.ts';
import { UpstreamError } from './errors.ts';

/**
 * A mirror that fails, refuses, or does not have it says nothing: the next endpoint is asked. The registry itself is
 * believed. What failed is told to the endpoints when the question is over: one attempt means nothing.
 */
export class Failover {
  readonly #endpoints: readonly Endpoint[];
  readonly #asked: Asked;
  readonly #now: () => number;
  readonly #failures = new Map<Endpoint, UpstreamError>();
  /** who answered, and then brought nothing: asked after the others */
  readonly #fruitless = new Set<Endpoint>();
  #answered: Endpoint | undefined;

  constructor(endpoints: readonly Endpoint[], asked: Asked, now: () => number) {
    this.#endpoints = endpoints;
    this.#asked = asked;
    this.#now = now;
  }

  /**
   * Asks each endpoint once.
   * @param untilMs when `signal` ends it; each endpoint gets its share of what is left
   * @param work one attempt; undefined is absence
   * @throws UpstreamError, the registry's own where there is one
   */
  async pass<T>(
    signal: AbortSignal,
    untilMs: number,
    work: (endpoint: Endpoint, signal: AbortSignal) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    let failure: unknown;
    this.#answered = undefined;
    for (const [index, endpoint] of this.#order().entries()) {
      const others = this.#endpoints.length - index;
      try {
        const refusal = await endpoint.refusal(this.#asked);
        if (refusal) throw refusal;
        const answer = await withShare(signal, others, untilMs - this.#now(), (until) =>
          work(endpoint, until),
        );
        this.#failures.delete(endpoint);
        if (answer !== undefined) this.#answered = endpoint;
        if (answer !== undefined || endpoint.isAuthority) return answer;
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        // Whose asker has left has not failed.
        if (!error.isFromMemory && (!signal.aborted || error.reason === 'timeout'))
          this.#failures.set(endpoint, error);
        if (endpoint.isAuthority || failure === undefined) failure = error;
        if (signal.aborted) throw failure;
      }
    }
    throw failure;
  }

  /** What the last answer promised did not come: next time, others are asked first. */
  passOver(): void {
    if (!this.#answered) return;
    this.#fruitless.add(this.#answered);
    if (this.#fruitless.size === this.#endpoints.length) this.#fruitless.clear();
  }

  #order(): readonly Endpoint[] {
    const isLast = (endpoint: Endpoint): number => Number(this.#fruitless.has(endpoint));
    return this.#endpoints.toSorted((one, other) => isLast(one) - isLast(other));
  }

  /** The question is over. */
  settle(): void {
    for (const [endpoint, error] of this.#failures) endpoint.failed(this.#asked, error);
    this.#failures.clear();
  }
}

/** Who is asked before others must not use up their time. The share ends with the head; a body has what it takes. */
async function withShare<T>(
  signal: AbortSignal,
  shares: number,
  leftMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (shares <= 1) return await work(signal);
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new DOMException('its share of the time is over', 'TimeoutError')),
    Math.max(1, leftMs / shares),
  );
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
