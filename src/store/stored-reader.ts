/** Owns the reading of stored content from its file. */
import type { BlobReader } from './blob-reader.ts';
import { StorageError } from './errors.ts';
import type { Lease } from './open-files.ts';

/**
 * @param lease given back when the reader is closed; a file that turns out shorter than its size is an error, never
 *   an end
 * @param onShorter told of such a file, before the error is thrown
 */
export function storedReader(lease: Lease, onShorter: () => void): BlobReader {
  const { file, size } = lease;
  let isOpen = true;
  return {
    size,
    read: async (buffer, position) => {
      if (!isOpen) throw new Error('the reader was closed');
      const length = Math.min(buffer.length, size - position);
      if (length <= 0) return 0;
      const { bytesRead } = await file.read(buffer, 0, length, position).catch((error: unknown) => {
        throw new StorageError('reading content', error);
      });
      if (bytesRead > 0) return bytesRead;
      onShorter();
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
