/** Owns the last bytes of a fill in memory, so that the readers at its frontier need no disk. */
import { copyChunks } from './chunks.ts';

/** Chunks follow each other without gaps; the oldest go first. */
export class RecentChunks {
  #chunks: Buffer[] = [];
  #start = 0;
  #end = 0;

  /** Begins anew at an offset. */
  reset(offset: number): void {
    this.#chunks = [];
    this.#start = offset;
    this.#end = offset;
  }

  /** @param maxBytes what may be kept in all, this chunk included */
  push(chunk: Buffer, maxBytes: number): void {
    this.#chunks.push(chunk);
    this.#end += chunk.length;
    while (this.#end - this.#start > maxBytes) {
      const oldest = this.#chunks.shift();
      if (!oldest) break;
      this.#start += oldest.length;
    }
  }

  /**
   * Copies content from `position` on.
   * @param length at most this much, and no more than is there
   * @returns bytes copied; 0 where the content from `position` is not here any more
   */
  copy(target: Buffer, position: number, length: number): number {
    if (position < this.#start || position >= this.#end) return 0;
    return copyChunks(this.#chunks, this.#start, target, position, length);
  }
}
