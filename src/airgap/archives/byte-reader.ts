/** Owns the reading of bytes in turn, from a stream or from a file in which one can seek. */
import type { FileHandle } from 'node:fs/promises';
import { ArchiveError } from './archive-error.ts';

/** Bytes in turn. One reader at a time. */
export interface ByteReader {
  /** @returns what comes next: at least one byte, at most `max`; undefined at the end */
  next(max: number): Promise<Buffer | undefined>;
  /** Passes over bytes. @returns how many there were: fewer than `count` only where it ends */
  skip(count: number): Promise<number>;
  /** Lets go of what is read from. */
  close(): Promise<void>;
}

/** @returns `count` bytes, fewer only where it ends */
export async function readFully(bytes: ByteReader, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let wanted = count; wanted > 0; ) {
    const chunk = await bytes.next(wanted);
    if (!chunk) break;
    chunks.push(chunk);
    wanted -= chunk.length;
  }
  const [only, ...others] = chunks;
  return only && others.length === 0 ? only : Buffer.concat(chunks);
}

/** Reads a stream; its buffers are passed through, never copied. */
export class StreamReader implements ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #maxBytes: number;
  #given = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** @param maxBytes of the whole stream: more are refused */
  constructor(chunks: AsyncIterable<Buffer>, maxBytes: number) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  async next(max: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return undefined;
      this.#given += value.length;
      if (this.#given > this.#maxBytes) throw tooLarge(this.#maxBytes);
      this.#rest = value;
    }
    const chunk = this.#rest;
    if (chunk.length <= max) {
      this.#rest = chunk.subarray(chunk.length);
      return chunk;
    }
    this.#rest = chunk.subarray(max);
    return chunk.subarray(0, max);
  }

  async skip(count: number): Promise<number> {
    let passed = 0;
    while (passed < count) {
      const chunk = await this.next(count - passed);
      if (!chunk) break;
      passed += chunk.length;
    }
    return passed;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

const MAX_READ = 64 * 1024;

/** Reads an open file, and seeks over what is skipped. Closing it is its owner's. */
export class FileReader implements ByteReader {
  readonly #file: FileHandle;
  readonly #size: number;
  #at = 0;

  /** @param size of the file, bytes */
  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async next(max: number): Promise<Buffer | undefined> {
    const room = Buffer.allocUnsafe(Math.min(max, MAX_READ));
    const { bytesRead } = await this.#file.read(room, 0, room.length, this.#at);
    if (bytesRead === 0) return undefined;
    this.#at += bytesRead;
    return room.subarray(0, bytesRead);
  }

  async skip(count: number): Promise<number> {
    const passed = Math.max(0, Math.min(count, this.#size - this.#at));
    this.#at += passed;
    return passed;
  }

  async close(): Promise<void> {
    // the file is closed by whoever opened it
  }
}

function tooLarge(maxBytes: number): ArchiveError {
  return new ArchiveError(
    `the archive has more than ${maxBytes} bytes when unpacked, which is more than may be taken in`,
  );
}
