/** Owns the buffers through which blobs are read and sent: recycled, and smaller when there are many senders. */

/** Reading less at a time costs CPU, more does not save any (facts, "Node"). */
const LARGE_BYTES = 256 * 1024;
const SMALL_BYTES = 64 * 1024;
/** With more leases than this at once, a lease is small: a thousand crawling clients must not take 250 MiB. */
const MAX_LARGE_LEASES = 128;
const MAX_KEPT = 64;

export class BufferPool {
  readonly #kept: Buffer[] = [];
  #leases = 0;

  /** @returns a buffer with old content; to be given back */
  lease(): Buffer {
    this.#leases += 1;
    if (this.#leases > MAX_LARGE_LEASES) return Buffer.allocUnsafeSlow(SMALL_BYTES);
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
  }

  /** Nobody may read or write `buffer` any more. */
  giveBack(buffer: Buffer): void {
    this.#leases -= 1;
    if (buffer.length === LARGE_BYTES && this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
  }
}
