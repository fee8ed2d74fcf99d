/** Owns the reading of an archive, entry by entry: what is handed on is safe to name, and of the size that it claims. */
import { ArchiveError } from './archive-error.ts';
import { type ByteReader, StreamReader } from './byte-reader.ts';
import { decompress } from './decompress.ts';
import { BLOCK_BYTES, cutOff, type EntryHeader, paddingOf, readHeader } from './tar-header.ts';
import { expectZeros } from './zeros.ts';

/** What is in an archive; directories are not told. */
export type ArchiveEntry =
  | {
      kind: 'file';
      /** relative, with no `..` in it */
      path: string;
      /** bytes */
      size: number;
      /** to be read once, before the next entry is asked for; what is not read is passed over */
      body: AsyncIterable<Buffer>;
    }
  | {
      kind: 'link';
      path: string;
      /** the path in the archive that it leads to */
      target: string;
    };

/** Names are remembered, half a kilobyte each at most. Bundles have no more. */
export const MAX_ENTRIES = 100_000;

export interface ArchiveLimits {
  /** of the unpacked archive, headers included */
  maxBytes: number;
  maxEntries: number;
}

/**
 * Reads a tar archive, plain or compressed with gzip or Zstandard. Memory does not grow with it, but for the names.
 * @throws ArchiveError where it is no archive, is damaged or cut off, is larger than the limits, or has entries that an
 *   archive of images has no use for: paths out of it, hard links, devices, two of one name; and what `input` throws
 */
export async function* readArchive(
  input: AsyncIterable<Buffer>,
  limits: ArchiveLimits,
): AsyncGenerator<ArchiveEntry, void, void> {
  yield* readTar(new StreamReader(decompress(input), limits.maxBytes), limits.maxEntries);
}

/** As `readArchive`, of bytes that are not compressed; closes them. */
export async function* readTar(
  bytes: ByteReader,
  maxEntries: number,
): AsyncGenerator<ArchiveEntry, void, void> {
  const names = new Names(maxEntries);
  try {
    for (let header = await readHeader(bytes); header; header = await readHeader(bytes)) {
      names.add(header);
      if (header.kind === 'link') yield header;
      if (header.kind !== 'file') continue;
      const body = new EntryBody(bytes, header.path, header.size);
      yield { ...header, body };
      await body.finish();
    }
    for (let rest = await bytes.next(REST_BYTES); rest; rest = await bytes.next(REST_BYTES))
      expectZeros(rest);
  } finally {
    await bytes.close();
  }
}

const REST_BYTES = 128 * BLOCK_BYTES;

/** The names of an archive, each of which may stand for one thing alone. */
class Names {
  readonly #kinds = new Map<string, EntryHeader['kind']>();
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add({ path, kind }: EntryHeader): void {
    this.#count += 1;
    if (this.#count > this.#max) throw new ArchiveError(`the archive has more than ${this.#max} entries`);
    const known = this.#kinds.get(path);
    // Directories are only said to be there: twice does no harm.
    if (known !== undefined && (known !== 'directory' || kind !== 'directory'))
      throw new ArchiveError('is in the archive twice', path);
    this.#kinds.set(path, kind);
  }
}

/** The content of one entry while it is the one that is being read. */
class EntryBody implements AsyncIterable<Buffer> {
  readonly #bytes: ByteReader;
  readonly #path: string;
  readonly #padding: number;
  #left: number;
  #isOver = false;

  constructor(bytes: ByteReader, path: string, size: number) {
    this.#bytes = bytes;
    this.#path = path;
    this.#left = size;
    this.#padding = paddingOf(size);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    for (;;) {
      if (this.#isOver) throw new Error('the archive has been read on: this entry is over');
      if (this.#left === 0) return;
      const chunk = await this.#bytes.next(this.#left);
      if (!chunk) throw cutOff(this.#path);
      this.#left -= chunk.length;
      yield chunk;
    }
  }

  /** Passes over what was not read. */
  async finish(): Promise<void> {
    this.#isOver = true;
    const rest = this.#left + this.#padding;
    this.#left = 0;
    if ((await this.#bytes.skip(rest)) < rest) throw cutOff(this.#path);
  }
}
