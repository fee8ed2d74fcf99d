/** Owns the part of passing content that is in memory, and the hash of what went before it. */
import type { Hash } from 'node:crypto';
import { copyChunks } from './chunks.ts';

export interface WindowStart {
  /** offset of the first byte */
  start: number;
  chunks: readonly Buffer[];
  /** of all that lies before `hashedUpTo`; it is not changed */
  hash: Hash;
  /** not before `start`; what lies between the two is in the window and in the hash */
  hashedUpTo: number;
}

/** The hash stays behind, at the window's start: whoever is left behind can go on from there, and be proven. */
export class PassingWindow {
  #hash: Hash;
  #hashedUpTo: number;
  #chunks: Buffer[];
  #start: number;
  #bytes: number;

  constructor({ start, chunks, hash, hashedUpTo }: WindowStart) {
    this.#start = start;
    this.#hash = hash.copy();
    this.#hashedUpTo = hashedUpTo;
    this.#chunks = [...chunks];
    this.#bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#start + this.#bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What another window needs to begin as this one is. */
  snapshot(): WindowStart {
    return {
      start: this.#start,
      chunks: this.#chunks,
      hash: this.#hash,
      hashedUpTo: this.#hashedUpTo,
    };
  }

  hashAtEnd(): Hash {
    const hash = this.#hash.copy();
    let offset = this.#start;
    for (const chunk of this.#chunks) {
      hash.update(beyond(chunk, offset, this.#hashedUpTo));
      offset += chunk.length;
    }
    return hash;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** @returns what would be left after `dropBefore` */
  bytesFrom(offset: number): number {
    let left = this.#bytes;
    for (const { length } of this.#chunks) {
      if (this.end - left + length > offset) break;
      left -= length;
    }
    return left;
  }

  /** Lets go of what lies before an offset, in whole chunks. @returns how many bytes that was */
  dropBefore(offset: number): number {
    const before = this.#start;
    let dropped = 0;
    for (const chunk of this.#chunks) {
      if (this.#start + chunk.length > offset) break;
      this.#hash.update(beyond(chunk, this.#start, this.#hashedUpTo));
      this.#start += chunk.length;
      dropped += 1;
    }
    if (dropped > 0) this.#chunks.splice(0, dropped);
    this.#hashedUpTo = Math.max(this.#hashedUpTo, this.#start);
    this.#bytes -= this.#start - before;
    return this.#start - before;
  }

  /** Begins again with the content's first byte. */
  restart(hash: Hash): void {
    this.#start = 0;
    this.#hash = hash;
    this.#hashedUpTo = 0;
    this.#chunks = [];
    this.#bytes = 0;
  }

  /** @returns bytes copied from `position` on, at most `length`; the window must reach to there */
  copy(target: Buffer, position: number, length: number): number {
    return copyChunks(this.#chunks, this.#start, target, position, length);
  }
}

/** What of a chunk at `offset` lies beyond what was hashed before. */
function beyond(chunk: Buffer, offset: number, hashedUpTo: number): Buffer {
  return chunk.subarray(Math.min(chunk.length, Math.max(0, hashedUpTo - offset)));
}
