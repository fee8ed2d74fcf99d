/** Owns the partial file of a fill: what arrives is hashed and written; what lies below the frontier can be read. */
import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { algorithmOf, type Digest, digestOfHash, hashFor } from '../oci/digest.ts';
import { BatchWriter } from './batch-writer.ts';
import { StorageError } from './errors.ts';
import { RecentChunks } from './recent-chunks.ts';

export interface FillFileOptions {
  digest: Digest;
  /** opened for reading and writing */
  file: FileHandle;
  /** how much of the end may be kept in memory now, for the readers that keep pace */
  recentBytes: () => number;
  /** told of each step of the frontier, in bytes */
  advanced: (bytes: number) => void;
  /** told after each write, less than 0 where the file begins anew */
  wrote: (bytes: number) => void;
}

const REHASH_CHUNK_BYTES = 1024 * 1024;

/** Used by one fill. All of it throws StorageError where the disk refuses. */
export class FillFile {
  readonly #options: FillFileOptions;
  readonly #recent = new RecentChunks();
  #writer: BatchWriter;
  #frontier = 0;
  /** of all that was pushed; of what is being written; of what is in the file */
  #hash: Hash;
  #hashTaken: Hash;
  #hashWritten: Hash;

  constructor(options: FillFileOptions) {
    this.#options = options;
    this.#hash = hashFor(options.digest);
    this.#hashTaken = this.#hash.copy();
    this.#hashWritten = this.#hash.copy();
    this.#writer = this.#makeWriter();
  }

  /** bytes that are hashed and in the file */
  get frontier(): number {
    return this.#frontier;
  }

  /** what was pushed and is not in the file, in order; to be asked once the disk has refused */
  get unwritten(): Buffer[] {
    return this.#writer.unwritten;
  }

  /** of what is in the file; not to be changed */
  get hashAtFrontier(): Hash {
    return this.#hashWritten;
  }

  /** @returns what everything that was pushed is */
  digest(): Digest {
    return digestOfHash(algorithmOf(this.#options.digest), this.#hash);
  }

  /** What an earlier process left is hashed before anything is added to it. @param found its bytes */
  async rehash(found: number): Promise<void> {
    const buffer = found > 0 ? Buffer.allocUnsafe(REHASH_CHUNK_BYTES) : undefined;
    while (buffer && this.#frontier < found) {
      const length = Math.min(buffer.length, found - this.#frontier);
      const bytesRead = await this.#readFile(buffer, this.#frontier, length);
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#advance(bytesRead);
    }
    this.#beginAtFrontier();
  }

  /** Throws away what is there. */
  async empty(): Promise<void> {
    try {
      await this.#options.file.truncate(0);
    } catch (error) {
      throw new StorageError('emptying a fill', error);
    }
    this.#options.wrote(-this.#frontier);
    this.#frontier = 0;
    this.#hash = hashFor(this.#options.digest);
    this.#beginAtFrontier();
  }

  /** Resolves at once unless too much waits for the disk. */
  async push(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.#recent.push(chunk, this.#options.recentBytes());
    await this.#writer.push(chunk);
  }

  /** Resolves when all that was pushed is in the file. */
  async flush(): Promise<void> {
    await this.#writer.flush();
  }

  /** @returns bytes read, at least one; `position` and `length` must lie below the frontier */
  async read(buffer: Buffer, position: number, length: number): Promise<number> {
    return this.#recent.copy(buffer, position, length) || (await this.#readFile(buffer, position, length));
  }

  /** Nothing is pushed any more: readers need no memory of the end. */
  forgetRecent(): void {
    this.#recent.reset(this.#frontier);
  }

  async close(): Promise<void> {
    await this.#options.file.close();
  }

  #beginAtFrontier(): void {
    this.#hashWritten = this.#hash.copy();
    this.#recent.reset(this.#frontier);
    this.#writer = this.#makeWriter();
  }

  #makeWriter(): BatchWriter {
    return new BatchWriter(this.#options.file, this.#frontier, {
      taken: () => {
        this.#hashTaken = this.#hash.copy();
      },
      written: (bytes) => {
        this.#hashWritten = this.#hashTaken;
        this.#options.wrote(bytes);
        this.#advance(bytes);
      },
    });
  }

  #advance(bytes: number): void {
    this.#frontier += bytes;
    this.#options.advanced(bytes);
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
}
