/** Owns the running fills: one per digest, joined by whoever asks while it runs. */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import {
  type Beginning,
  type BeginOptions,
  beginFill,
  type FillParts,
  type FillRequest,
} from './begin-fill.ts';
import { DigestMismatchError, OversizeError, StorageError, StoreClosingError } from './errors.ts';
import { Fill } from './fill.ts';
import type { Reservation } from './ledger.ts';
import type { FillOrigin } from './partials.ts';

/** How content that was not stored can be had. */
export type FillStart =
  | Exclude<Beginning, { kind: 'ready' }>
  | { kind: 'fill'; fill: Fill; ended: Promise<FillResult> };

/** How a fill ended; `unstored` is a disk that refused, content proven or not. */
export type FillResult = 'stored' | 'unstored' | 'mismatch' | 'failed' | 'stopped';

/** No more than this many run at once; further ones are streamed past the store. */
const MAX_RUNNING = 1024;

interface Starting {
  start: Promise<FillStart>;
  origin: FillOrigin;
  abort: AbortController;
}

/** Content at the frontiers that is kept in memory: of one fill, and of all together. */
const MAX_RECENT_BYTES = 4 * 1024 * 1024;
const ALL_RECENT_BYTES = 32 * 1024 * 1024;

/** An entry lives from the first question to upstream until the content is in the store or given up. */
export class Fills {
  readonly #options: BeginOptions;
  readonly #starting = new Map<Digest, Starting>();
  readonly #running = new Map<Digest, { fill: Fill; ended: Promise<FillResult> }>();
  /** also those that have left `#running` and still close their file: the directory must outlive them */
  readonly #ending = new Set<Promise<FillResult>>();
  #isClosing = false;

  constructor(options: BeginOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#running.size;
  }

  get readers(): number {
    let readers = 0;
    for (const { fill } of this.#running.values()) readers += fill.readers;
    return readers;
  }

  /** What runs now, for the status. */
  *list(): Generator<{ digest: Digest; size: number | undefined; frontier: number; readers: number }> {
    for (const { fill } of this.#running.values()) {
      yield { digest: fill.digest, size: fill.size, frontier: fill.frontier, readers: fill.readers };
    }
  }

  /**
   * Joins the fill of a digest, or starts it.
   * @throws StoreClosingError; whatever `request.open` throws
   */
  async begin(request: FillRequest): Promise<FillStart & { joined: boolean }> {
    const { digest } = request;
    const running = this.#running.get(digest);
    if (running && !running.fill.hasFailed) return { kind: 'fill', ...running, joined: true };
    if (running) {
      // It is being cleared away. Whatever began meanwhile is joined: two fills must never share a file.
      await running.ended;
      return await this.begin(request);
    }
    const starting = this.#starting.get(digest);
    if (starting) return await this.#join(starting, request);
    if (this.#isClosing) throw new StoreClosingError();
    const abort = new AbortController();
    const start = this.#start(request, abort).finally(() => this.#starting.delete(digest));
    this.#starting.set(digest, { start, origin: request.origin, abort });
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
      for (const { fill } of this.#running.values()) fill.stop();
    };
    if (deadline.aborted) stopAll();
    else deadline.addEventListener('abort', stopAll, { once: true });
    await Promise.allSettled([...this.#starting.values()].map(({ start }) => start));
    if (deadline.aborted) stopAll(); // what started meanwhile
    await Promise.all(this.#ending);
    deadline.removeEventListener('abort', stopAll);
  }

  /**
   * That one repository lacks the content, or is refused it, says nothing about another one: that asks for itself.
   * Trouble that is the whole upstream's is shared: else each repository would wait for it after the other.
   */
  async #join({ start, origin }: Starting, request: FillRequest): Promise<FillStart & { joined: boolean }> {
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

  async #start(request: FillRequest, abort: AbortController): Promise<FillStart> {
    if (this.#running.size >= MAX_RUNNING) return { kind: 'bypass' };
    const beginning = await beginFill(request, abort, this.#options);
    return beginning.kind === 'ready' ? { kind: 'fill', ...this.#run(request, beginning, abort) } : beginning;
  }

  #run(
    request: FillRequest,
    { file, found, input, reservation }: FillParts,
    abort: AbortController,
  ): { fill: Fill; ended: Promise<FillResult> } {
    const { digest } = request;
    reservation.wrote(found);
    const fill = new Fill({
      digest,
      file,
      found,
      input,
      open: request.open,
      abort,
      onWritten: (bytes) => reservation.wrote(bytes),
      makeRoom: (bytes) => reservation.growTo(bytes),
      recentBytes: () => Math.min(MAX_RECENT_BYTES, ALL_RECENT_BYTES / Math.max(1, this.#running.size)),
    });
    if ((fill.size ?? 0) > NOTE_FROM_BYTES) this.#note(request);
    const ended = this.#finish(request, fill, file, reservation);
    this.#running.set(digest, { fill, ended });
    this.#ending.add(ended);
    ended.finally(() => this.#ending.delete(ended));
    return { fill, ended };
  }

  #note({ digest, origin }: FillRequest): void {
    this.#options.store.partials.note(digest, origin).catch((error: unknown) => {
      this.#options.observer.storageFailed(new StorageError('noting where a fill comes from', error));
    });
  }

  /** Sees a fill to its end, whatever that is. Never rejects. */
  async #finish(
    request: FillRequest,
    fill: Fill,
    file: FileHandle,
    reservation: Reservation,
  ): Promise<FillResult> {
    const { store, observer } = this.#options;
    try {
      const size = await fill.proven;
      await store.promote(request.digest, file, size);
      observer.fillEnded('stored');
      return 'stored';
    } catch (error) {
      return await this.#abandon(fill, error);
    } finally {
      reservation.release();
      this.#running.delete(request.digest);
      await fill.letGo().catch(() => undefined); // closing a file that was written and synced
    }
  }

  async #abandon(fill: Fill, error: unknown): Promise<FillResult> {
    const { store, observer } = this.#options;
    const isUseless =
      error instanceof DigestMismatchError || error instanceof OversizeError || error instanceof StorageError;
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

const NOTE_FROM_BYTES = 1024 * 1024;

function resultOf(error: unknown): FillResult {
  if (error instanceof StorageError) return 'unstored';
  if (error instanceof DigestMismatchError || error instanceof OversizeError) return 'mismatch';
  return error instanceof StoreClosingError ? 'stopped' : 'failed';
}
