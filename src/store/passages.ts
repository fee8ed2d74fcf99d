/** Owns the downloads that pass by the store: what does not fit, and what a disk refuses. */
import { setTimeout as wait } from 'node:timers/promises';
import { type Digest, hashFor } from '../oci/digest.ts';
import type { FillInput, FillSources } from './fill-sources.ts';
import { Passage, type PassageStart } from './passage.ts';

export interface PassagesOptions {
  discarded: (wrong: unknown) => void;
  ended: (result: 'passed' | 'left' | { error: unknown }) => void;
  now: () => number;
}

/** Memory of one window, and of all together. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;
const ALL_WINDOWS_BYTES = 64 * 1024 * 1024;
/** More than is held back, with some chunks on top. */
const MIN_WINDOW_BYTES = 256 * 1024;

/** A client that pauses for less (a garbage collection, a lost packet) is waited for. */
const PATIENCE_MS = 1000;

export class Passages {
  readonly #options: PassagesOptions;
  readonly #running = new Map<Digest, Set<Passage>>();
  readonly #starting = new Map<Digest, Promise<Passage | undefined>>();
  #count = 0;

  constructor(options: PassagesOptions) {
    this.#options = options;
  }

  /** how many run */
  get size(): number {
    return this.#count;
  }

  get readers(): number {
    let readers = 0;
    for (const passages of this.#running.values()) for (const passage of passages) readers += passage.readers;
    return readers;
  }

  /** @returns a running one that can still be read from its first byte */
  whole(digest: Digest): Passage | undefined {
    for (const passage of this.#running.get(digest) ?? []) if (passage.isWhole) return passage;
    return undefined;
  }

  /**
   * Joins one that can be read from its first byte, or starts it. Who gets it must take a reader at once.
   * @returns undefined where upstream has no such content
   * @throws what asking upstream throws
   */
  async join(digest: Digest, sources: FillSources): Promise<Passage | undefined> {
    const running = this.whole(digest);
    if (running) return running;
    const starting = this.#starting.get(digest) ?? this.#start(digest, sources);
    return await starting;
  }

  /** Goes on with a download that runs. Who gets it must take a reader at once. */
  begin(start: PassageStart, sources: FillSources): Passage {
    const passage = new Passage(start, {
      open: async (from, signal, isAfresh) => {
        const options = { from, signal, isAfresh };
        const input = isAfresh ? await sources.openAgain(signal) : await sources.open(options);
        if (!input || input.size !== start.size)
          throw new Error('upstream has changed its mind about the content');
        return sources.chunks(input, from, signal)[Symbol.asyncIterator]();
      },
      now: this.#options.now,
      windowBytes: () =>
        Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, ALL_WINDOWS_BYTES / this.#count)),
      split: (rest) => this.begin(rest, sources),
      discarded: (wrong) => this.#options.discarded(wrong),
      ended: (ended, result) => {
        this.#remove(ended);
        this.#options.ended(result);
      },
      patience: (signal) => wait(PATIENCE_MS, undefined, { signal }).catch(() => undefined), // aborted: room was made
    });
    const passages = this.#running.get(start.digest) ?? new Set();
    this.#running.set(start.digest, passages.add(passage));
    this.#count += 1;
    return passage;
  }

  #start(digest: Digest, sources: FillSources): Promise<Passage | undefined> {
    const abort = new AbortController();
    const starting = sources
      .open({ from: 0, signal: abort.signal })
      .then((input) => input && this.begin(wholeStart(digest, input, sources, abort), sources))
      .finally(() => this.#starting.delete(digest));
    this.#starting.set(digest, starting);
    return starting;
  }

  #remove(passage: Passage): void {
    const passages = this.#running.get(passage.digest);
    if (!passages?.delete(passage)) return;
    this.#count -= 1;
    if (passages.size === 0) this.#running.delete(passage.digest);
  }
}

/** @returns the start of a passage that begins with the content's first byte */
export function wholeStart(
  digest: Digest,
  input: FillInput,
  sources: FillSources,
  abort: AbortController,
): PassageStart {
  const chunks = sources.chunks(input, 0, abort.signal)[Symbol.asyncIterator]();
  return { digest, size: input.size, start: 0, hash: hashFor(digest), window: [], chunks, abort };
}
