/** Owns the downloads that pass by the store: what does not fit, and what a disk refuses. */
import { setTimeout as wait } from 'node:timers/promises';
import { type Digest, hashFor } from '../oci/digest.ts';
import { StoreClosingError } from './errors.ts';
import type { FillInput, FillSources } from './fill-sources.ts';
import { Passage, type PassageEnd, type PassageStart } from './passage.ts';

export interface PassagesOptions {
  discarded: (wrong: unknown) => void;
  ended: (end: PassageEnd) => void;
  now: () => number;
}

/** Memory of one window; of all together, beyond which each has the least that works: what is held back, and more. */
const MAX_WINDOW_BYTES = 8 * 1024 * 1024;
const ALL_WINDOWS_BYTES = 64 * 1024 * 1024;
const MIN_WINDOW_BYTES = 256 * 1024;
/** With this many, who is slow is not left behind any more: the others wait for it. */
const MAX_PASSAGES = 256;

/**
 * A client that pauses (a garbage collection, a lost packet) is waited for: 300 ms in all, and later a twentieth of
 * the time.
 */
const PATIENCE_MS = 300;
const PATIENCE_SHARE = 0.05;
const MIN_PATIENCE_MS = 20;

interface Starting {
  passage: Promise<Passage | undefined>;
  sources: FillSources;
  abort: AbortController;
}

export class Passages {
  readonly #options: PassagesOptions;
  readonly #running = new Map<Digest, Set<Passage>>();
  readonly #starting = new Map<Digest, Starting>();
  #count = 0;
  #bytes = 0;
  #isClosing = false;

  constructor(options: PassagesOptions) {
    this.#options = options;
  }

  /** how many bring content */
  get size(): number {
    return this.#count;
  }

  /** who reads from those */
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
   * @throws what asking upstream throws; StoreClosingError
   */
  async join(digest: Digest, sources: FillSources): Promise<Passage | undefined> {
    for (;;) {
      const running = this.whole(digest);
      if (running) return running;
      const starting = this.#starting.get(digest);
      if (!starting) return await this.#start(digest, sources);
      if (starting.sources.origin === sources.origin) return await starting.passage;
      // What one repository lacks or is refused says nothing about another.
      const passage = await starting.passage.catch(() => undefined);
      if (passage) return passage;
    }
  }

  /** Goes on with a download that runs. Who gets it must take a reader at once. */
  begin(start: PassageStart, sources: FillSources): Passage {
    const { now, discarded, ended } = this.#options;
    const passage = new Passage(start, {
      open: (from, signal, isAfresh) => openChunks(sources, start.size, { from, signal, isAfresh }),
      mayGrow: (bytes) =>
        bytes < MIN_WINDOW_BYTES || (bytes < MAX_WINDOW_BYTES && this.#bytes < ALL_WINDOWS_BYTES),
      holds: (moreBytes) => {
        this.#bytes += moreBytes;
      },
      split: (rest) => (this.#count < MAX_PASSAGES ? this.begin(rest, sources) : undefined),
      discarded,
      ended: (one, end) => {
        this.#remove(one);
        ended(end);
      },
      patience: makePatience(now),
      now,
    });
    const passages = this.#running.get(start.digest) ?? new Set();
    this.#running.set(start.digest, passages.add(passage));
    this.#count += 1;
    return passage;
  }

  /** Nothing begins any more; what has begun ends with its readers. */
  close(): void {
    this.#isClosing = true;
    for (const { abort } of this.#starting.values()) abort.abort(new StoreClosingError());
  }

  async #start(digest: Digest, sources: FillSources): Promise<Passage | undefined> {
    if (this.#isClosing) throw new StoreClosingError();
    const abort = new AbortController();
    const passage = sources
      .open({ from: 0, signal: abort.signal, purpose: 'passage' })
      .then(
        (input) =>
          input &&
          this.begin(
            wholeStart(digest, input, sources, () => abort.abort()),
            sources,
          ),
      )
      .finally(() => this.#starting.delete(digest));
    this.#starting.set(digest, { passage, sources, abort });
    return await passage;
  }

  #remove(passage: Passage): void {
    const passages = this.#running.get(passage.digest);
    if (!passages?.delete(passage)) return;
    this.#count -= 1;
    if (passages.size === 0) this.#running.delete(passage.digest);
  }
}

/**
 * @param drop ends the connection of `input`
 * @returns the start of a passage that begins with the content's first byte
 */
export function wholeStart(
  digest: Digest,
  input: FillInput,
  sources: FillSources,
  drop: () => void,
): PassageStart {
  const abort = new AbortController();
  const chunks = sources.chunks(input, 0, abort.signal)[Symbol.asyncIterator]();
  const window = { start: 0, chunks: [], hash: hashFor(digest), hashedUpTo: 0 };
  return { digest, size: input.size, window, chunks, drop, abort };
}

async function openChunks(
  sources: FillSources,
  size: number | undefined,
  { from, signal, isAfresh }: { from: number; signal: AbortSignal; isAfresh: boolean },
): Promise<AsyncIterator<Buffer>> {
  const input = isAfresh
    ? await sources.openAgain(signal)
    : await sources.openSame({ from, signal, purpose: 'passage' }, size);
  if (!input || input.size !== size) throw new Error('upstream has changed its mind about the content');
  return sources.chunks(input, from, signal)[Symbol.asyncIterator]();
}

function makePatience(now: () => number): (signal: AbortSignal) => Promise<void> {
  const beganMs = now();
  let waitedMs = 0;
  return async (signal) => {
    const fromMs = now();
    const leftMs = PATIENCE_MS + (fromMs - beganMs) * PATIENCE_SHARE - waitedMs;
    await wait(Math.max(MIN_PATIENCE_MS, leftMs), undefined, { signal }).catch(() => undefined); // room was made
    waitedMs += now() - fromMs;
  };
}
