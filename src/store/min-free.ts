/** Owns the decision how much to evict when others fill the disk. Pure but for what it remembers. */

/** After an eviction that did not show, so many looks are let pass, doubled each time. */
const MAX_SKIPPED_LOOKS = 32;

/**
 * A file system may give space back late, or to somebody else. Evicting again at each look would then empty the
 * store for nothing: after an eviction that did not show, looks are let pass, more each time.
 */
export class MinFree {
  #last: { freeBytes: number; evictedBytes: number } | undefined;
  #vain = 0;
  #skip = 0;

  /** whether the last eviction did not show in what the file system says is free */
  get isInVain(): boolean {
    return this.#vain > 0;
  }

  /**
   * @param freeBytes what the file system says
   * @param lackingBytes what is missing until enough is free; none or negative: enough is
   * @returns the bytes to evict now
   */
  decide(freeBytes: number, lackingBytes: number): number {
    if (lackingBytes <= 0) {
      this.#last = undefined;
      this.#vain = 0;
      this.#skip = 0;
      return 0;
    }
    const last = this.#last;
    this.#last = undefined;
    if (last && freeBytes - last.freeBytes < last.evictedBytes / 2) {
      this.#vain += 1;
      this.#skip = Math.min(2 ** this.#vain, MAX_SKIPPED_LOOKS);
    }
    if (this.#skip === 0) return lackingBytes;
    this.#skip -= 1;
    return 0;
  }

  /** So many bytes were evicted when so many were free. */
  evicted(freeBytes: number, evictedBytes: number): void {
    if (evictedBytes > 0) this.#last = { freeBytes, evictedBytes };
  }
}
