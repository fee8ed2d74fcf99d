/** Owns the part of passing content that is in memory, and the hash of what went before it. */
import type { Hash } from 'node:crypto';

/** The hash is kept at the window's start: whoever is left behind can go on from there, and be proven. */
export class PassingWindow {
  #hash: Hash;
  #chunks: Buffer[];
  #start: number;
  #bytes: number;

  /** @param hash of all before `start`; it is not changed */
  constructor(start: number, hash: Hash, chunks: readonly Buffer[]) {
    this.#start = start;
    this.#hash = hash.copy();
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

  chunks(): readonly Buffer[] {
    return this.#chunks;
  }

  hashAtStart(): Hash {
    return this.#hash.copy();
  }

  hashAtEnd(): Hash {
    const hash = this.#hash.copy();
    for (const chunk of this.#chunks) hash.update(chunk);
    return hash;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Lets go of what lies before an offset, in whole chunks. */
  dropBefore(offset: number): void {
    let dropped = 0;
    for (const chunk of this.#chunks) {
      if (this.#start + chunk.length > offset) break;
      this.#hash.update(chunk);
      this.#start += chunk.length;
      this.#bytes -= chunk.length;
      dropped += 1;
    }
    if (dropped > 0) this.#chunks.splice(0, dropped);
  }

  /** Begins again with the content's first byte. */
  restart(hash: Hash): void {
    this.#start = 0;
    this.#hash = hash;
    this.#chunks = [];
    this.#bytes = 0;
  }

  /** @returns bytes copied from `position` on, at most `length`; the window must reach to there */
  copy(target: Buffer, position: number, length: number): number {
    let offset = this.#start;
    let copied = 0;
    for (const chunk of this.#chunks) {
      if (copied >= length) break;
      const from = position + copied - offset;
      if (from < chunk.length)
        copied += chunk.copy(target, copied, from, from + Math.min(chunk.length - from, length - copied));
      offset += chunk.length;
    }
    return copied;
  }
}
