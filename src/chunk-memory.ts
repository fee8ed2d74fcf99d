/** Owns giving back the memory of what was read and is not needed any more, without waiting for the garbage collector. */

/** Smaller ones are not worth it, and some are constants: the padding of a tar. */
const LEAST_BYTES = 32 * 1024;

/**
 * Gives the memory of a chunk back at once, where it is all of its own; nobody may use the chunk afterwards. Left to
 * the garbage collector, an import of 2 GB held 80 MiB of chunks, and had it run a hundred times for up to 50 ms each.
 */
export function release({ buffer, byteLength }: Buffer): void {
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  if (isWhole && byteLength >= LEAST_BYTES) buffer.transfer(0);
}
