/** Owns the reading of an OCI layout directory, as the archive that `tar` would make of it. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ArchiveError } from './archive-error.ts';
import { BUNDLE_INDEX } from './bundle-index.ts';
import { END_MARK, fileHead, padding } from './tar-blocks.ts';

const CHUNK_BYTES = 256 * 1024;
/** `blobs/sha256/<hex>` is two directories deep. */
const MAX_DEPTH = 3;

/**
 * Packs a directory. No link is followed, so that nothing outside of it is read.
 * @throws ArchiveError where it holds a link or something else that is no file, or a file changes while it is read; what
 *   the file system says
 */
export async function* packLayout(directory: string): AsyncGenerator<Buffer, void, void> {
  for await (const path of filesBelow(directory, '', 0)) yield* packFile(directory, path);
  yield END_MARK;
}

/** A bundle's own index comes first, as in a bundle: what cannot be taken is refused before it is read. */
function inOrder(a: string, b: string): number {
  return Number(b === BUNDLE_INDEX) - Number(a === BUNDLE_INDEX) || (a < b ? -1 : Number(a > b));
}

async function* filesBelow(root: string, inside: string, depth: number): AsyncGenerator<string> {
  if (depth > MAX_DEPTH) throw new ArchiveError('is deeper than an OCI layout', inside);
  for (const name of (await readdir(join(root, inside))).sort(inOrder)) {
    const path = inside === '' ? name : `${inside}/${name}`;
    const found = await lstat(join(root, path));
    if (found.isDirectory()) yield* filesBelow(root, path, depth + 1);
    else if (found.isFile()) yield path;
    else throw notAFile(path);
  }
}

async function* packFile(root: string, path: string): AsyncGenerator<Buffer> {
  await using file = await openFile(join(root, path), path);
  const { size } = await file.stat();
  yield fileHead(path, size);
  let read = 0;
  for (;;) {
    // One byte more than there should be: a file that grew is seen.
    const room = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - read + 1));
    const { bytesRead } = await file.read(room, 0, room.length, read);
    if (bytesRead === 0) break;
    read += bytesRead;
    if (read > size) throw changed(path);
    yield room.subarray(0, bytesRead);
  }
  if (read < size) throw changed(path);
  yield padding(size);
}

async function openFile(path: string, inside: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // It has become a link since it was looked at.
    if (error instanceof Error && 'code' in error && error.code === 'ELOOP') throw notAFile(inside);
    throw error;
  }
}

function notAFile(path: string): ArchiveError {
  return new ArchiveError('is neither a file nor a directory; a layout has no links', path);
}

function changed(path: string): ArchiveError {
  return new ArchiveError('has changed while it was read; try again when nobody writes to it', path);
}
