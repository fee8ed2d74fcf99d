/** Owns the copying of received chunks into a file, so that receiving, hashing and writing overlap. */
import type { FileHandle } from 'node:fs/promises';
import { StorageError } from './errors.ts';

/** What may wait for the disk before the sender is held back. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

/**
 * Writes chunks in order, one `writev` at a time: whatever arrived during a write goes out with the next.
 * Used by one producer; `onWritten` runs after each write with the bytes it added.
 */
export class BatchWriter {
  readonly #file: FileHandle;
  readonly #onWritten: (bytes: number) => void;
  #position: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;

  constructor(file: FileHandle, position: number, onWritten: (bytes: number) => void) {
    this.#file = file;
    this.#position = position;
    this.#onWritten = onWritten;
  }

  /**
   * Takes a chunk; resolves at once unless too much is waiting.
   * @throws StorageError when the disk refuses
   */
  async push(chunk: Buffer): Promise<void> {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
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
    this.#writing.catch(() => undefined); // whoever pushes or flushes next is told: #writing stays as it failed
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      const bytes = this.#pendingBytes;
      this.#pending = [];
      this.#pendingBytes = 0;
      await this.#writeBatch(batch, bytes);
      this.#onWritten(bytes);
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
