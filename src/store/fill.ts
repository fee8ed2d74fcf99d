/** Owns one running download: upstream is copied to a file, and every client tail-reads that file. */
import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { algorithmOf, type Digest, digestOfHash, hashFor } from '../oci/digest.ts';
import { BatchWriter } from './batch-writer.ts';
import type { BlobReader } from './blob-reader.ts';
import { DigestMismatchError, OversizeError, StorageError, StoreClosingError } from './errors.ts';
import { RecentChunks } from './recent-chunks.ts';

/** Bytes on their way from upstream. */
export interface FillInput {
  /** of the whole content, undefined where upstream does not say */
  size: number | undefined;
  /** the content from the offset that was asked for; ends when it is complete, throws when it cannot be had */
  chunks: AsyncIterable<Buffer>;
}

/** Asks upstream for the content from `from` on; undefined where upstream has no such content. */
export type OpenInput = (from: number, signal: AbortSignal) => Promise<FillInput | undefined>;

export interface FillOptions {
  digest: Digest;
  /** the partial file, opened for reading and writing; the fill closes it when nobody reads it any more */
  file: FileHandle;
  /** bytes of an earlier attempt that are in the file */
  found: number;
  input: FillInput;
  open: OpenInput;
  /** told after each write; the ledger keeps count */
  onWritten: (bytes: number) => void;
  /** makes room for content whose size upstream does not say; false where there is none */
  makeRoom: (bytes: number) => Promise<boolean>;
  /** how much of the end may be kept in memory now, for the readers that keep pace */
  recentBytes: () => number;
  abort: AbortController;
}

/**
 * The last bytes are held back until the digest is proven: a response never completes with wrong content, and
 * an answer that is smaller than this (an error page, another service's secret) is never shown at all.
 */
export const HELD_BACK_BYTES = 64 * 1024;

const REHASH_CHUNK_BYTES = 1024 * 1024;

/**
 * Only `#run` writes the file and moves `#frontier` (bytes hashed and written). Readers see bytes below
 * `#released` alone, at any offset, and wait in `#waiters` for it to move. Readers never slow the fill: it does
 * not know how far they are. `settled` resolves when nothing more will change.
 */
export class Fill {
  readonly digest: Digest;
  readonly size: number | undefined;
  /** resolves when the content is proven; rejects when it cannot be had */
  readonly proven: Promise<number>;
  readonly #options: FillOptions;
  readonly #waiters = new Set<() => void>();
  readonly #recent = new RecentChunks();
  #hash: Hash;
  #foundDigest: Digest | undefined;
  #frontier = 0;
  #released = 0;
  #readers = 0;
  #ended: { error: unknown } | 'complete' | undefined;
  #isRunning = true;

  constructor(options: FillOptions) {
    this.digest = options.digest;
    this.size = options.input.size;
    this.#options = options;
    this.#hash = hashFor(options.digest);
    this.proven = this.#run();
    this.proven.catch(() => undefined); // the owner awaits it too; readers are told by #ended
  }

  get frontier(): number {
    return this.#frontier;
  }

  get readers(): number {
    return this.#readers;
  }

  get hasFailed(): boolean {
    return this.#ended !== undefined && this.#ended !== 'complete';
  }

  /** Ends the download; the file keeps what it has. */
  stop(): void {
    this.#options.abort.abort(new StoreClosingError());
  }

  /** The owner has moved the file to its place or given it up: closed once the last reader leaves. */
  async letGo(): Promise<void> {
    this.#isRunning = false;
    this.#recent.reset(this.#frontier);
    await this.#closeIfUnused();
  }

  /** A new reader; it may start before any byte is there. */
  reader(): BlobReader {
    this.#readers += 1;
    let isOpen = true;
    let wake: (() => void) | undefined;
    return {
      size: this.size,
      read: async (buffer, position) => {
        while (isOpen && position >= this.#released && this.#ended === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            this.#waiters.add(resolve);
          });
        }
        if (!isOpen) throw new Error('the reader was closed');
        const length = Math.min(buffer.length, this.#released - position);
        if (length > 0) return await this.#readInto(buffer, position, length);
        if (this.#ended !== undefined && this.#ended !== 'complete') throw this.#ended.error;
        return 0;
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#readers -= 1;
        if (wake) this.#waiters.delete(wake);
        wake?.();
        this.#closeIfUnused().catch(() => undefined); // a failed close of a file that nobody uses loses nothing
      },
    };
  }

  async #readInto(buffer: Buffer, position: number, length: number): Promise<number> {
    const copied = this.#recent.copy(buffer, position, length);
    return copied > 0 ? copied : await this.#readFile(buffer, position, length);
  }

  async #readFile(buffer: Buffer, position: number, length: number): Promise<number> {
    try {
      const { bytesRead } = await this.#options.file.read(buffer, 0, length, position);
      if (bytesRead > 0) return bytesRead;
    } catch (error) {
      throw new StorageError('reading a fill', error);
    }
    throw new StorageError('reading a fill', new Error('its file became shorter'));
  }

  async #run(): Promise<number> {
    try {
      await this.#rehash();
      await this.#copy(this.#options.input);
      if (!this.#isProven() && this.#released === 0) await this.#startOver();
      this.#prove();
      this.#end('complete');
      return this.#frontier;
    } catch (error) {
      this.#options.abort.abort(error);
      this.#end({ error });
      throw error;
    }
  }

  /** What an earlier process left is hashed before anything is added to it. */
  async #rehash(): Promise<void> {
    const { found } = this.#options;
    const buffer = found > 0 ? Buffer.allocUnsafe(REHASH_CHUNK_BYTES) : undefined;
    while (buffer && this.#frontier < found) {
      const length = Math.min(buffer.length, found - this.#frontier);
      const bytesRead = await this.#readFile(buffer, this.#frontier, length);
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#advance(bytesRead);
    }
  }

  async #copy(input: FillInput): Promise<void> {
    const writer = new BatchWriter(this.#options.file, this.#frontier, (bytes) => {
      this.#options.onWritten(bytes);
      this.#advance(bytes);
    });
    let received = this.#frontier;
    this.#recent.reset(received);
    try {
      for await (const chunk of input.chunks) {
        received += chunk.length;
        await this.#fit(received);
        this.#hash.update(chunk);
        this.#recent.push(chunk, this.#options.recentBytes());
        await writer.push(chunk);
      }
    } finally {
      await writer.flush(); // also when upstream broke: what was hashed is in the file before anyone resumes it
    }
  }

  /** No more is written than was reserved, whatever upstream sends. */
  async #fit(received: number): Promise<void> {
    if (this.size === undefined) {
      if (await this.#options.makeRoom(received)) return;
      throw new StorageError('growing a fill', new Error('it is larger than what the budget has left'));
    }
    if (received > this.size) throw new OversizeError(this.digest, this.size);
  }

  /** Wrong content of which no byte was shown is asked for once more, from another connection. */
  async #startOver(): Promise<void> {
    const input = await this.#options.open(0, this.#options.abort.signal);
    if (input === undefined || input.size !== this.size) return;
    await this.#options.file.truncate(0);
    this.#hash = hashFor(this.digest);
    this.#foundDigest = undefined;
    this.#frontier = 0;
    await this.#copy(input);
  }

  #isProven(): boolean {
    this.#foundDigest ??= digestOfHash(algorithmOf(this.digest), this.#hash);
    return this.#foundDigest === this.digest;
  }

  #prove(): void {
    if (this.#isProven()) return;
    throw new DigestMismatchError(this.digest, this.#foundDigest ?? this.digest, this.#frontier);
  }

  #advance(bytes: number): void {
    this.#frontier += bytes;
    const limit = this.size === undefined ? this.#frontier - HELD_BACK_BYTES : this.size - HELD_BACK_BYTES;
    this.#release(Math.max(0, Math.min(this.#frontier, limit)));
  }

  #end(ended: { error: unknown } | 'complete'): void {
    this.#ended = ended;
    this.#release(ended === 'complete' ? this.#frontier : this.#released);
  }

  #release(upTo: number): void {
    if (upTo === this.#released && this.#ended === undefined) return;
    this.#released = upTo;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  async #closeIfUnused(): Promise<void> {
    if (!this.#isRunning && this.#readers === 0) await this.#options.file.close();
  }
}
