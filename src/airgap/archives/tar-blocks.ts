/** Owns the writing of tar blocks: the same for the same content, whoever writes them and when. */
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import { BLOCK_BYTES, paddingOf } from './tar-header.ts';

/** What every archive ends with. */
export const END_MARK: Buffer = Buffer.alloc(2 * BLOCK_BYTES);

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Owned by root, last changed in 1970: nothing of the machine that writes goes into an archive. */
const NOBODYS = { uid: 0, gid: 0, mtime: new Date(0) } as const;

/** @returns the header of a file of `size` bytes, with an extended one before it where the name is long */
export function fileHead(path: string, size: number): Buffer {
  return encode(new Header({ path, size, type: 'File', mode: FILE_MODE, ...NOBODYS }), path);
}

/** @returns the header of a directory */
export function directoryHead(path: string): Buffer {
  return encode(
    new Header({ path: `${path}/`, size: 0, type: 'Directory', mode: DIRECTORY_MODE, ...NOBODYS }),
    path,
  );
}

/** @returns the bytes that follow after a file's content */
export function padding(size: number): Buffer {
  return END_MARK.subarray(0, paddingOf(size));
}

/** @returns the bytes that a file takes in an archive, header and padding included */
export function storedBytes(path: string, size: number): number {
  return fileHead(path, size).length + size + paddingOf(size);
}

function encode(header: Header, path: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  // Sizes that do not fit are written in base 256, which all readers know; names that do not fit need a header more.
  const isLong = Buffer.byteLength(path) > NAME_BYTES;
  header.encode(block);
  return isLong ? Buffer.concat([new Pax({ path, ...NOBODYS }).encode(), block]) : block;
}

/** Of the name field; what is longer (`blobs/sha512/…`) is written as POSIX has it. */
const NAME_BYTES = 100;
