/** Owns what the readers of a fill may see: how far its content is released, and who waits for more. */
import type { BlobReader } from './blob-reader.ts';
import { BrokenOffError, ResizedError, StorageError } from './errors.ts';
import type { Passage } from './passage.ts';
import { WakeUp } from './wake-up.ts';

/**
 * The last bytes are held back until the digest is proven: a response never completes with wrong content, and
 * an answer that is smaller than this (an error page, another service's secret) is never shown at all.
 */
export const HELD_BACK_BYTES = 64 * 1024;

/** Readers see so much more at once, or what there is after so long: each look of each of them costs a system call. */
const STEP_BYTES = 256 * 1024;
const STEP_MS = 5;

/** @returns up to where content may be shown that is there up to `frontier` and is not proven yet */
export function releasedBelow(frontier: number, size: number | undefined): number {
  return Math.max(0, Math.min(frontier, (size ?? frontier) - HELD_BACK_BYTES));
}

export interface TailOptions {
  /** of the whole content in bytes, undefined while upstream has not said */
  size: number | undefined;
  /** reads content below what is released; at least one byte of `length` > 0 */
  readAt: (buffer: Buffer, position: number, length: number) => Promise<number>;
  /** a reader has left */
  left: () => void;
}

interface OpenReader {
  /** as it was announced to this one */
  size: number | undefined;
  /** the download that its bytes come from: content of two is never mixed */
  attempt: number;
  hasRead: boolean;
  isOpen: boolean;
  more: WakeUp;
  /** where it goes on when the disk has refused the rest */
  onward: BlobReader | undefined;
}

/** The fill moves what is released; readers read below it at any offset, at any pace, and wait for it to move. */
export class Tail {
  readonly #options: TailOptions;
  readonly #readers = new Set<OpenReader>();
  #size: number | undefined;
  #released = 0;
  /** how much of it readers see by now */
  #shown = 0;
  #telling: NodeJS.Timeout | undefined;
  #attempt = 0;
  #wrong: unknown;
  #ended: { error: unknown } | 'complete' | undefined;

  constructor(options: TailOptions) {
    this.#options = options;
    this.#size = options.size;
  }

  get size(): number | undefined {
    return this.#size;
  }

  get released(): number {
    return this.#released;
  }

  get readers(): number {
    return this.#readers.size;
  }

  get hasFailed(): boolean {
    return this.#ended !== undefined && this.#ended !== 'complete';
  }

  release(upTo: number): void {
    if (upTo <= this.#released) return;
    this.#released = upTo;
    if (this.#shown === 0 || upTo - this.#shown >= STEP_BYTES) this.#wakeAll();
    else this.#telling ??= setTimeout(() => this.#wakeAll(), STEP_MS);
  }

  complete(size: number): void {
    this.#ended = 'complete';
    this.#released = size;
    this.#wakeAll();
  }

  fail(error: unknown): void {
    this.#ended = { error };
    this.#wakeAll();
  }

  /**
   * The content was wrong and is fetched once more: who has seen none of it goes on waiting, unless it was promised
   * another size; the others are told.
   * @param size of the content as it is announced now
   */
  restart(size: number | undefined, wrong: unknown): void {
    this.#attempt += 1;
    this.#wrong = wrong;
    this.#size = size;
    this.#released = 0;
    this.#wakeAll();
  }

  /** The disk takes no more, and the download goes on past it: so do the readers. `fail` must follow. */
  handOver(passage: Passage): void {
    this.#wakeAll(); // up to where the passage begins, they read here
    for (const reader of this.#readers) reader.onward = passage.reader(this.#released);
  }

  reader(): BlobReader {
    const own: OpenReader = {
      size: this.#size,
      attempt: this.#attempt,
      hasRead: false,
      isOpen: true,
      more: new WakeUp(),
      onward: undefined,
    };
    this.#readers.add(own);
    return {
      size: own.size,
      read: (buffer, position) => this.#read(own, buffer, position),
      close: () => {
        if (!own.isOpen) return;
        own.isOpen = false;
        this.#readers.delete(own);
        own.onward?.close();
        own.more.wake();
        this.#options.left();
      },
    };
  }

  async #read(own: OpenReader, buffer: Buffer, position: number): Promise<number> {
    for (;;) {
      if (!own.isOpen) throw new Error('the reader was closed');
      this.#follow(own);
      if (position < this.#shown) {
        const bytes = await this.#readReleased(own, buffer, position);
        if (bytes !== undefined) return bytes;
      } else if (own.onward) {
        return await own.onward.read(buffer, position);
      } else if (this.#ended === 'complete') {
        return 0;
      } else if (this.#ended) {
        throw this.#failureFor(own, this.#ended.error);
      } else {
        await own.more.wait();
      }
    }
  }

  /** @returns undefined where the content began anew under the read: what was read may be of either */
  async #readReleased(own: OpenReader, buffer: Buffer, position: number): Promise<number | undefined> {
    const attempt = this.#attempt;
    const length = Math.min(buffer.length, this.#shown - position);
    try {
      const bytes = length === 0 ? 0 : await this.#options.readAt(buffer, position, length);
      if (attempt !== this.#attempt) return undefined;
      own.hasRead ||= bytes > 0;
      return bytes;
    } catch (error) {
      if (attempt !== this.#attempt && error instanceof StorageError) return undefined;
      throw this.#failureFor(own, error);
    }
  }

  /** Where the disk fails, who has seen nothing, or what is proven, can go on with the content from elsewhere. */
  #failureFor({ hasRead }: OpenReader, error: unknown): unknown {
    const mayGoOn = !hasRead || this.#ended === 'complete';
    return error instanceof StorageError && !mayGoOn ? new BrokenOffError(error) : error;
  }

  #follow(own: OpenReader): void {
    if (own.attempt === this.#attempt) return;
    if (own.hasRead) throw this.#wrong;
    if (own.size !== this.#size) throw new ResizedError(this.#wrong);
    own.attempt = this.#attempt;
  }

  #wakeAll(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#shown = this.#released;
    for (const { more } of this.#readers) more.wake();
  }
}
