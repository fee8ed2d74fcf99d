/** Owns reading an image list from its file: bounded, whole, and as it is at one moment. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type ImageList, readImageList } from './lists/image-list.ts';
import { ListError } from './lists/list-error.ts';

const MAX_BYTES = 16 * 1024 * 1024;

/**
 * @param path absolute
 * @throws ListError with every problem, also where the file cannot be read
 */
export async function readListFile(path: string): Promise<ImageList> {
  const text = await readText(path).catch((error: unknown) => {
    if (error instanceof ListError) throw error;
    throw new ListError([`${path}: it cannot be read: ${error instanceof Error ? error.message : error}`]);
  });
  return readImageList(text, { name: path, variables: {} });
}

async function readText(path: string): Promise<string> {
  // A named pipe would be waited for.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const body = await readWhole(file, path);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(body);
    } catch {
      throw new ListError([`${path}: it is no text in UTF-8: save it as such`]); // all that can be wrong here
    }
  } finally {
    await file.close();
  }
}

async function readWhole(file: FileHandle, path: string): Promise<Buffer> {
  const before = await file.stat();
  if (!before.isFile()) throw new ListError([`${path}: it is no file`]);
  const tooLarge = new ListError([`${path}: it is larger than 16 MiB: give it in parts`]);
  if (before.size > MAX_BYTES) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of file.createReadStream({ autoClose: false, end: MAX_BYTES })) {
    chunks.push(chunk);
    bytes += chunk.length;
  }
  if (bytes > MAX_BYTES) throw tooLarge;
  const after = await file.stat();
  // Half of a list would let go of what the other half names.
  if (after.mtimeMs !== before.mtimeMs || bytes !== after.size)
    throw new ListError([`${path}: it was written while it was read: it is read again at the next turn`]);
  return Buffer.concat(chunks);
}
