/** Owns content that is streamed past the store: proven like any other, kept nowhere. */
import { algorithmOf, type Digest, digestOfHash, hashFor } from '../oci/digest.ts';
import type { BlobReader } from './blob-reader.ts';
import { DigestMismatchError, OversizeError } from './errors.ts';
import { type FillInput, HELD_BACK_BYTES } from './fill.ts';

/**
 * A reader over a download. Positions must not go backwards; what lies between them is hashed and not given
 * out. The last bytes are held back until the digest is proven, as in a fill.
 * @param input the whole content, from its first byte
 * @param stop ends the download
 */
export function passingReader(digest: Digest, input: FillInput, stop: () => void): BlobReader {
  const hash = hashFor(digest);
  const chunks = input.chunks[Symbol.asyncIterator]();
  const held: Buffer[] = [];
  let heldBytes = 0;
  let received = 0;
  let given = 0;
  let toSkip = 0;
  let isProven = false;
  let isOpen = true;

  const receive = async (): Promise<void> => {
    const { value, done } = await chunks.next();
    if (done) {
      const found = digestOfHash(algorithmOf(digest), hash);
      if (found !== digest) throw new DigestMismatchError(digest, found, received);
      isProven = true;
      return;
    }
    hash.update(value);
    received += value.length;
    if (input.size !== undefined && received > input.size) throw new OversizeError(digest, input.size);
    held.push(value);
    heldBytes += value.length;
  };
  const isReady = (): boolean => isProven || heldBytes > HELD_BACK_BYTES;
  const take = (buffer: Buffer, upTo: number): number => {
    let taken = 0;
    while (taken < upTo) {
      const [first] = held;
      if (!first) break;
      const part = first.subarray(0, upTo - taken);
      taken += part.copy(buffer, taken);
      if (part.length === first.length) held.shift();
      else held[0] = first.subarray(part.length);
    }
    heldBytes -= taken;
    return taken;
  };
  const skip = (): void => {
    const scratch = toSkip > 0 ? Buffer.allocUnsafe(HELD_BACK_BYTES) : Buffer.alloc(0);
    while (toSkip > 0) {
      const skipped = take(scratch, Math.min(toSkip, scratch.length));
      if (skipped === 0) return;
      toSkip -= skipped;
    }
  };
  return {
    size: input.size,
    read: async (buffer, position) => {
      if (!isOpen) throw new Error('the reader was closed');
      if (position < given) throw new Error(`content that passes by cannot be read again from ${position}`);
      toSkip = position - given;
      given = position;
      for (skip(); !isProven && (toSkip > 0 || !isReady()); skip()) await receive();
      const available = isProven ? heldBytes : heldBytes - HELD_BACK_BYTES;
      const taken = take(buffer, Math.min(buffer.length, available));
      given += taken;
      return taken;
    },
    close: () => {
      if (isOpen) stop();
      isOpen = false;
    },
  };
}
