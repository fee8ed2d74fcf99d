/** Owns the reading of stored content from its file. */
import type { BlobReader } from './blob-reader.ts';
import { StorageError } from './errors.ts';
import type { Lease } from './open-files.ts';

/**
 * @param lease given back when the reader is closed; a file that turns out shorter than its size is an error, never
 *   an end
 * @param told what the store does about a file that is shorter, and about a disk that cannot read it
 */
export function storedReader(
  lease: Lease,
  told: { isShorter: () => void; failed: (error: StorageError) => void },
): BlobReader {
  const { file, size } = lease;
  let isOpen = true;
  return {
    size,
    read: async (buffer, position) => {
      if (!isOpen) throw new Error('the reader was closed');
      const length = Math.min(buffer.length, size - position);
      if (length <= 0) return 0;
      const { bytesRead } = await file.read(buffer, 0, length, position).catch((error: unknown) => {
        const failure = new StorageError('reading content', error);
        told.failed(failure);
        throw failure;
      });
      if (bytesRead > 0) return bytesRead;
      told.isShorter();
      throw new StorageError('reading content', new Error('the file became shorter'));
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      lease.release();
    },
  };
}

/** Reads content whole. @param size its bytes; they are held in memory */
export async function readWhole(reader: BlobReader, size: number): Promise<Buffer> {
  const body = Buffer.alloc(size);
  for (let position = 0; position < size; ) {
    position += await reader.read(body.subarray(position), position);
  }
  return body;
}
