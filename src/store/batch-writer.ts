/** Owns the copying of received chunks into a file, so that receiving, hashing and writing overlap. */
import type { FileHandle } from 'node:fs/promises';
import { StorageError } from './errors.ts';

/** What may wait for the disk before the sender is held back. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

export interface BatchObserver {
  /** a batch goes to the disk now: all that was pushed so far is in it, or in the file */
  taken?: () => void;
  /** the batch is in the file, which has so many bytes more */
  written: (bytes: number) => void;
  /** nothing needs the chunk any more */
  done?: (chunk: Buffer) => void;
}

/** Writes chunks in order, one `writev` at a time: whatever arrived during a write goes out with the next. */
export class BatchWriter {
  readonly #file: FileHandle;
  readonly #observer: BatchObserver;
  #position: number;
  #batch: Buffer[] = [];
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  constructor(file: FileHandle, position: number, observer: BatchObserver) {
    this.#file = file;
    this.#position = position;
    this.#observer = observer;
  }

  /** what was pushed and is not in the file, in order; to be asked once the disk has refused */
  get unwritten(): Buffer[] {
    return [...this.#batch, ...this.#pending];
  }

  /**
   * Takes a chunk; resolves at once unless too much is waiting.
   * @throws StorageError when the disk refuses
   */
  async push(chunk: Buffer): Promise<void> {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#failure !== undefined) throw this.#failure;
    this.#start();
    if (this.#pendingBytes > MAX_PENDING_BYTES) await this.flush();
  }

  /** Resolves when all that was pushed is in the file. @throws StorageError */
  async flush(): Promise<void> {
    while (this.#pendingBytes > 0 || this.#writing) {
      this.#start();
      await this.#writing;
    }
  }

  #start(): void {
    if (this.#writing) return;
    this.#writing = this.#writeAll();
    this.#writing.catch((error: unknown) => {
      this.#failure = error; // whoever pushes or flushes next is told: #writing stays as it failed
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const bytes = this.#pendingBytes;
      this.#batch = this.#pending;
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#observer.taken?.();
      await this.#writeBatch(this.#batch, bytes);
      const { done } = this.#observer;
      if (done) for (const chunk of this.#batch) done(chunk);
      this.#batch = [];
      this.#observer.written(bytes);
    }
    this.#writing = undefined;
  }

  async #writeBatch(batch: Buffer[], bytes: number): Promise<void> {
    let written = 0;
    let rest = batch;
    try {
      while (written < bytes) {
        const { bytesWritten } = await this.#file.writev(rest, this.#position);
        if (bytesWritten === 0) throw new Error('the disk takes no bytes');
        written += bytesWritten;
        this.#position += bytesWritten;
        if (written < bytes) rest = [Buffer.concat(rest).subarray(bytesWritten)]; // a short write: rare
      }
    } catch (error) {
      throw new StorageError('writing a fill', error);
    }
  }
}
