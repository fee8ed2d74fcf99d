/** Owns the reading of stored content from its file. */
import type { FileHandle } from 'node:fs/promises';
import type { BlobReader } from './blob-reader.ts';
import { StorageError } from './errors.ts';

/**
 * @param file opened for reading; the reader closes it
 * @param size of the content in bytes: a file that turns out shorter is an error, never an end
 */
export function storedReader(file: FileHandle, size: number): BlobReader {
  let reading: Promise<unknown> = Promise.resolve();
  let isOpen = true;
  return {
    size,
    read: async (buffer, position) => {
      if (!isOpen) throw new Error('the reader was closed');
      const length = Math.min(buffer.length, size - position);
      if (length <= 0) return 0;
      const read = file.read(buffer, 0, length, position);
      reading = read;
      const { bytesRead } = await read.catch((error: unknown) => {
        throw new StorageError('reading content', error);
      });
      if (bytesRead === 0) throw new StorageError('reading content', new Error('the file became shorter'));
      return bytesRead;
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      // FileHandle.close waits for a running read by itself; a failure loses nothing that anyone still uses.
      reading
        .catch(() => undefined)
        .then(() => file.close())
        .catch(() => undefined);
    },
  };
}
