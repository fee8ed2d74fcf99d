/** Owns the running downloads: one per digest, joined by whoever asks while it runs. */
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import { type Beginning, type BeginOptions, beginFill, type FillParts } from './begin-fill.ts';
import { isWrongContent, NoRoomError, StorageError, StoreClosingError } from './errors.ts';
import { Fill } from './fill.ts';
import { FillSources, type OpenInput } from './fill-sources.ts';
import type { FillOrigin } from './partials.ts';
import type { Passage } from './passage.ts';
import { Passages, wholeStart } from './passages.ts';
import { SyncedNotes } from './synced-notes.ts';

export interface FillRequest {
  digest: Digest;
  origin: FillOrigin;
  /** throws PartialRefusedError where upstream does not go on from the offset */
  open: OpenInput;
  /** whether a failure to open concerns the repository alone, and not the whole upstream */
  isAboutRepository: (error: unknown) => boolean;
}

/** A running download as it is told. */
export interface FillProgress {
  digest: Digest;
  /** who asked first */
  origin: FillOrigin;
  /** bytes; undefined where upstream has not said it */
  size: number | undefined;
  frontier: number;
  readers: number;
}

interface RunningFill {
  origin: FillOrigin;
  fill: Fill;
  ended: Promise<FillResult>;
  /** for whoever joins, once it is known to be let in */
  sources: FillSources;
}

/** How content that was not stored can be had. */
export type FillStart =
  | { kind: 'stored' }
  | { kind: 'absent' }
  /** it passes by the store; a reader of it must be taken at once */
  | { kind: 'bypass'; passage: Passage }
  | ({ kind: 'fill' } & RunningFill);

/**
 * How a download ended. `unstored` is a disk that refused, content proven or not; `passed` went past the store, and
 * `left` did until nobody read it any more.
 */
export const FILL_RESULTS = [
  'stored',
  'unstored',
  'mismatch',
  'failed',
  'stopped',
  'passed',
  'left',
] as const;
export type FillResult = (typeof FILL_RESULTS)[number];

/** No more than this many run at once; further ones are streamed past the store. */
const MAX_RUNNING = 1024;

interface Starting {
  start: Promise<FillStart>;
  origin: FillOrigin;
  abort: AbortController;
}

/** What was stopped ends at once; this bounds a disk that hangs. */
const STOP_DEADLINE_MS = 5_000;

/** Content at the frontiers that is kept in memory: of one fill, and of all together. */
const MAX_RECENT_BYTES = 4 * 1024 * 1024;
const ALL_RECENT_BYTES = 32 * 1024 * 1024;

export interface FillsOptions extends BeginOptions {
  now: () => number;
}

/** An entry lives from the first question to upstream until the content is in the store or given up. */
export class Fills {
  readonly passages: Passages;
  readonly #options: FillsOptions;
  readonly #starting = new Map<Digest, Starting>();
  readonly #running = new Map<Digest, RunningFill>();
  /** also those that have left `#running` and still close their file: the directory must outlive them */
  readonly #ending = new Set<Promise<FillResult>>();
  #isClosing = false;

  constructor(options: FillsOptions) {
    this.#options = options;
    const { observer, now } = options;
    this.passages = new Passages({
      now,
      discarded: (wrong) => observer.discarded(wrong),
      ended: (result) => {
        if (typeof result === 'string') observer.fillEnded(result);
        else observer.fillEnded(resultOf(result.error), result.error);
      },
    });
  }

  get size(): number {
    return this.#running.size;
  }

  get readers(): number {
    let readers = this.passages.readers;
    for (const { fill } of this.#running.values()) readers += fill.readers;
    return readers;
  }

  /** Whether a fill of the digest runs or begins: its file is in use. */
  has(digest: Digest): boolean {
    return this.#starting.has(digest) || this.#running.has(digest);
  }

  /** @returns how many bytes of a running download are here */
  bytesOf(digest: Digest): number | undefined {
    return this.#running.get(digest)?.fill.frontier;
  }

  /** of the running download that waits longest for a byte; 0 where none runs */
  get idleMs(): number {
    let idleMs = 0;
    for (const { fill } of this.#running.values()) idleMs = Math.max(idleMs, fill.idleMs);
    return idleMs;
  }

  /** What runs now, for the status. */
  *list(): Generator<FillProgress> {
    for (const { fill, origin } of this.#running.values()) {
      const { digest, size, frontier, readers } = fill;
      yield { digest, origin, size, frontier, readers };
    }
  }

  /**
   * Joins the fill of a digest, or starts it.
   * @throws StoreClosingError; whatever `request.open` throws
   */
  async begin(request: FillRequest): Promise<FillStart & { joined: boolean }> {
    const { digest, origin, open } = request;
    const running = this.#running.get(digest);
    await running?.fill.announced;
    if (running && running !== this.#running.get(digest)) return await this.begin(request);
    if (running && !running.fill.hasFailed) return { kind: 'fill', ...running, joined: true };
    if (running) {
      // It is being cleared away. Whatever began meanwhile is joined: two fills must never share a file.
      await running.ended;
      return await this.begin(request);
    }
    const passage = this.passages.whole(digest);
    if (passage) return { kind: 'bypass', passage, joined: true };
    const starting = this.#starting.get(digest);
    if (starting) return await this.#join(starting, request);
    if (this.#isClosing) throw new StoreClosingError();
    const abort = new AbortController();
    const sources = new FillSources(origin, open);
    const start = this.#start(request, sources, abort).finally(() => this.#starting.delete(digest));
    this.#starting.set(digest, { start, origin, abort });
    return { ...(await start), joined: false };
  }

  /**
   * Lets the running fills finish until the deadline, then stops them; their partial files are kept.
   * @param deadline aborted when waiting is over
   */
  async close(deadline: AbortSignal): Promise<void> {
    this.#isClosing = true;
    const stopAll = (): void => {
      for (const { abort } of this.#starting.values()) abort.abort(new StoreClosingError());
      this.passages.close();
      for (const { fill } of this.#running.values()) fill.stop();
    };
    if (deadline.aborted) stopAll();
    else deadline.addEventListener('abort', stopAll, { once: true });
    await Promise.allSettled([...this.#starting.values()].map(({ start }) => start));
    if (deadline.aborted) stopAll(); // what started meanwhile
    await Promise.race([Promise.all(this.#ending), stoppedFor(deadline, STOP_DEADLINE_MS)]);
    deadline.removeEventListener('abort', stopAll);
  }

  /**
   * That one repository lacks the content, or is refused it, says nothing about another one: that asks for itself.
   * Trouble that is the whole upstream's is shared: else each repository would wait for it after the other.
   */
  async #join(starting: Starting, request: FillRequest): Promise<FillStart & { joined: boolean }> {
    const { start, origin } = starting;
    const isSame =
      origin.upstream === request.origin.upstream && origin.repository === request.origin.repository;
    try {
      const started = await start;
      if (isSame || started.kind !== 'absent') return { ...started, joined: true };
    } catch (error) {
      const isShared = origin.upstream === request.origin.upstream && !request.isAboutRepository(error);
      if (isSame || isShared) throw error;
    }
    return await this.begin(request);
  }

  async #start(request: FillRequest, sources: FillSources, abort: AbortController): Promise<FillStart> {
    const { digest } = request;
    const beginning: Beginning =
      this.#running.size >= MAX_RUNNING
        ? { kind: 'bypass', input: undefined }
        : await beginFill({ digest, sources }, abort, this.#options);
    if (beginning.kind === 'ready') return { kind: 'fill', ...this.#run(request, sources, beginning, abort) };
    if (beginning.kind !== 'bypass') return beginning;
    const { input } = beginning;
    const passage = input
      ? this.passages.begin(
          wholeStart(digest, input, sources, () => abort.abort()),
          sources,
        )
      : await this.passages.join(digest, sources);
    return passage ? { kind: 'bypass', passage } : { kind: 'absent' };
  }

  #run(
    request: FillRequest,
    sources: FillSources,
    { file, found, input, reservation }: FillParts,
    abort: AbortController,
  ): RunningFill {
    const { digest, origin } = request;
    const { store, observer, now } = this.#options;
    const notes = new SyncedNotes({
      ...{ digest, origin, file, partials: store.partials },
      failed: (error) => observer.storageFailed(new StorageError('noting where a fill comes from', error)),
    });
    const fill = new Fill({
      ...{ digest, file, found, abort, now },
      input: { size: input.size, chunks: sources.chunks(input, found, abort.signal) },
      openAgain: (signal) => sources.openAgain(signal),
      discarded: (wrong) => observer.discarded(wrong),
      pass: (start) => this.passages.begin(start, sources),
      onWritten: (bytes) => {
        reservation.wrote(bytes);
        notes.wrote(bytes);
      },
      makeRoom: (bytes) => reservation.growTo(bytes),
      recentBytes: () => Math.min(MAX_RECENT_BYTES, ALL_RECENT_BYTES / Math.max(1, this.#running.size)),
    });
    notes.begin(found, fill.size);
    const ended = this.#finish(fill, { file, found, input, reservation }, notes);
    const running = { origin, fill, sources, ended };
    this.#running.set(digest, running);
    this.#ending.add(ended);
    ended.finally(() => this.#ending.delete(ended));
    return running;
  }

  /** Sees a fill to its end, whatever that is. Never rejects. */
  async #finish(fill: Fill, { file, reservation }: FillParts, notes: SyncedNotes): Promise<FillResult> {
    const { store, observer } = this.#options;
    try {
      const size = await fill.proven
        .finally(() => notes.end())
        .catch((error: unknown) => {
          if (error instanceof StorageError && !(error instanceof NoRoomError)) observer.storageFailed(error);
          throw error;
        });
      await store.promote(fill.digest, file, size, () => reservation.release());
      observer.fillEnded('stored');
      return 'stored';
    } catch (error) {
      return await this.#abandon(fill, error);
    } finally {
      reservation.release();
      this.#running.delete(fill.digest);
      await fill.letGo().catch(() => undefined); // closing a file that was written and synced
    }
  }

  async #abandon(fill: Fill, error: unknown): Promise<FillResult> {
    const { store, observer } = this.#options;
    if (store.isClosed) return 'stopped'; // the disk has answered too late: what is there is another's to judge
    const isUseless = isWrongContent(error) || error instanceof StorageError;
    try {
      if (isUseless) await store.partials.discard(fill.digest);
      else await store.partials.keep(fill.digest, fill.frontier);
    } catch (leftover) {
      observer.storageFailed(new StorageError('clearing away a fill', leftover));
    }
    const result = resultOf(error);
    observer.fillEnded(result, error);
    return result;
  }
}

/** Resolves some time after `deadline`: a call that the disk does not answer cannot be stopped. */
async function stoppedFor(deadline: AbortSignal, ms: number): Promise<void> {
  if (!deadline.aborted) await once(deadline, 'abort');
  await wait(ms, undefined, { ref: false });
}

function resultOf(error: unknown): FillResult {
  if (error instanceof StorageError) return 'unstored';
  if (isWrongContent(error)) return 'mismatch';
  return error instanceof StoreClosingError ? 'stopped' : 'failed';
}
