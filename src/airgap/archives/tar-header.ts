/** Owns the reading of tar headers, with the long names and extended headers before them, up to the end of the archive. */
import { Header } from 'tar/header';
import { ArchiveError } from './archive-error.ts';
import { type ByteReader, readFully } from './byte-reader.ts';
import { entryPath, linkTarget } from './entry-path.ts';
import { type PaxRecords, parsePax } from './pax.ts';
import { isZero } from './zeros.ts';

export const BLOCK_BYTES = 512;
/** Of an extended header or a long name; Go refuses more too. */
const MAX_META_BYTES = 1024 * 1024;

export type EntryHeader =
  | { kind: 'file'; path: string; size: number }
  | { kind: 'directory'; path: string }
  | { kind: 'link'; path: string; target: string };

/**
 * @returns the next entry; undefined at the mark that ends the archive
 * @throws ArchiveError where there is no header, or one of something that images are not made of
 */
export async function readHeader(bytes: ByteReader): Promise<EntryHeader | undefined> {
  const records: PaxRecords = {};
  for (;;) {
    const block = await readBlock(bytes);
    if (isZero(block)) {
      if (Object.keys(records).length > 0) throw new ArchiveError('an extended header belongs to nothing');
      await readEndMark(bytes);
      return undefined;
    }
    const header = parseBlock(block);
    const meta = META[header.typeKey];
    if (!meta) return describe(header, block, records);
    const entry = header.path ?? '';
    merge(records, meta(await readMeta(bytes, header), entry), entry);
  }
}

/** @returns the bytes that follow after content, up to the next block */
export function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

async function readBlock(bytes: ByteReader): Promise<Buffer> {
  const block = await readFully(bytes, BLOCK_BYTES);
  // Every program that writes archives ends them with two blocks of zeros. One without is taken for cut off: what is
  // missing may have been an image, and nobody would know.
  if (block.length < BLOCK_BYTES)
    throw new ArchiveError('the archive ends without its end mark: it was cut off; copy it anew');
  return block;
}

async function readEndMark(bytes: ByteReader): Promise<void> {
  if (!isZero(await readBlock(bytes))) throw new ArchiveError('the archive has a hole: it is damaged');
}

function parseBlock(block: Buffer): Header {
  let header: Header;
  try {
    header = new Header(block);
  } catch (cause) {
    throw new ArchiveError('a header has a number that is out of range', undefined, cause);
  }
  if (!header.cksumValid)
    throw new ArchiveError('this is no tar archive, or it is damaged: the checksum of a header is wrong');
  return header;
}

/** Entries that say something about the next one; the reader of what they say. */
const META: Readonly<Record<string, (body: Buffer, entry: string) => PaxRecords>> = {
  x: parsePax,
  X: parsePax,
  g: (body, entry) => {
    // Such as the commit that `git archive` notes. What would change every entry, nobody writes.
    if (Object.keys(parsePax(body, entry)).length > 0)
      throw new ArchiveError('a global header changes the names or sizes of entries', entry);
    return {};
  },
  L: (body) => ({ path: untilNul(body) }),
  N: (body) => ({ path: untilNul(body) }),
  K: (body) => ({ linkpath: untilNul(body) }),
};

function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('utf8', 0, end < 0 ? body.length : end);
}

async function readMeta(bytes: ByteReader, { size, path }: Header): Promise<Buffer> {
  if (size === undefined || size < 0 || size > MAX_META_BYTES)
    throw new ArchiveError('the extended header is too large', path);
  const body = await readFully(bytes, size);
  const padding = paddingOf(size);
  if (body.length < size || (await bytes.skip(padding)) < padding) throw cutOff(path ?? '');
  return body;
}

export function cutOff(entry: string): ArchiveError {
  return new ArchiveError('the archive ends in the middle of it: it was cut off; copy it anew', entry);
}

function merge(records: PaxRecords, found: PaxRecords, entry: string): void {
  for (const key of ['path', 'linkpath', 'size'] as const)
    if (records[key] !== undefined && found[key] !== undefined)
      throw new ArchiveError('two extended headers say different things', entry);
  Object.assign(records, found);
}

function describe(header: Header, block: Buffer, records: PaxRecords): EntryHeader {
  const raw = records.path ?? header.path ?? '';
  const path = entryPath(raw);
  const kind = header.typeKey;
  if (kind === '5') {
    expectEmpty(block, records, path);
    return { kind: 'directory', path };
  }
  if (path === '') throw new ArchiveError('an entry has no name', raw);
  if (kind === '2') {
    expectEmpty(block, records, path);
    return { kind: 'link', path, target: linkTarget(path, records.linkpath ?? header.linkpath ?? '') };
  }
  // node-tar gives the empty string for the type byte NUL of old archives
  if (kind !== '0' && String(kind) !== '' && kind !== '7')
    throw new ArchiveError(`is ${REFUSED[kind] ?? 'of an unknown type'}, which no image archive has`, path);
  return { kind: 'file', path, size: sizeOf(header, records, path) };
}

const REFUSED: Readonly<Record<string, string>> = {
  1: 'a hard link',
  3: 'a device',
  4: 'a device',
  6: 'a fifo',
  S: 'a sparse file',
};

function sizeOf({ size }: Header, records: PaxRecords, path: string): number {
  if (records.size !== undefined) {
    // The field is 0 where the size does not fit into it.
    if (size !== undefined && size !== 0 && size !== records.size)
      throw new ArchiveError('its headers say two different sizes', path);
    return records.size;
  }
  if (size === undefined || !Number.isSafeInteger(size) || size < 0)
    throw new ArchiveError('its header says no size that makes sense', path);
  return size;
}

/** Programs differ in whether content follows after a directory or a link that claims to have some. */
function expectEmpty(block: Buffer, records: PaxRecords, path: string): void {
  const field = block.toString('latin1', 124, 136);
  if (!/^[0 \0]*$/.test(field) || (records.size ?? 0) !== 0)
    throw new ArchiveError('claims to have content, which its type does not have', path);
}
