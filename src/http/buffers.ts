/** Owns the buffers through which blobs are read and sent: recycled, and smaller when there are many senders. */

const KIB = 1024;

/**
 * Sizes by how many leases there are. Each read from disk is a round trip to another thread: at 1 MiB it costs a
 * third less CPU than at 256 KiB. A thousand crawling clients must not hold a gigabyte, though.
 */
const SIZES: readonly { upToLeases: number; bytes: number }[] = [
  { upToLeases: 16, bytes: 1024 * KIB },
  { upToLeases: 128, bytes: 256 * KIB },
  { upToLeases: Number.POSITIVE_INFINITY, bytes: 64 * KIB },
];
/**
 * Content that is still arriving is shown in such pieces. Who is behind takes as much at once: 32 readers at 256 KiB
 * cost a third less CPU than at 64 KiB.
 */
const MAX_ARRIVING_BYTES = 256 * KIB;
const MAX_KEPT_PER_SIZE = 32;

export class BufferPool {
  readonly #kept = new Map<number, Buffer[]>();
  #leases = 0;

  /**
   * @param isArriving whether the content is on its way from upstream
   * @returns a buffer with old content; to be given back
   */
  lease(isArriving: boolean): Buffer {
    this.#leases += 1;
    const bytes = Math.min(sizeFor(this.#leases), isArriving ? MAX_ARRIVING_BYTES : Number.POSITIVE_INFINITY);
    return this.#kept.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** Nobody may read or write `buffer` any more. */
  giveBack(buffer: Buffer): void {
    this.#leases -= 1;
    const kept = this.#kept.get(buffer.length) ?? [];
    if (kept.length < MAX_KEPT_PER_SIZE) kept.push(buffer);
    this.#kept.set(buffer.length, kept);
  }
}

function sizeFor(leases: number): number {
  return SIZES.find(({ upToLeases }) => leases <= upToLeases)?.bytes ?? 64 * KIB;
}
