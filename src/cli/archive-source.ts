/** Owns an archive on its way into an import: a file, a directory or standard input, compared with its checksum as it goes. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { ArchiveError } from '../airgap/archives/archive-error.ts';
import type { BundleIndex } from '../airgap/archives/bundle-index.ts';
import { packLayout } from '../airgap/archives/pack-layout.ts';
import { MAX_ENTRIES } from '../airgap/archives/read-archive.ts';
import { type ArchiveScan, scanArchive } from '../airgap/archives/scan-archive.ts';
import type { CarriedContent } from '../airgap/commands.ts';
import { checksumPath, readChecksum } from './checksum-line.ts';
import { ReportedError } from './reported-error.ts';

export interface ArchiveSource {
  /** as messages have it */
  name: string;
  /** of what is read, bytes; undefined where it cannot be known */
  totalBytes: number | undefined;
  /** of the images' content, bytes; undefined where it cannot be known */
  contentBytes: number | undefined;
  /** whether there is a checksum beside it; it is right once the chunks were read to their end */
  isChecked: boolean;
  /** what of its content has a digest for a name, where that was looked at */
  contents: CarriedContent[] | undefined;
  /** what a bundle says about itself, where that was looked at */
  bundle: BundleIndex | undefined;
  /** so far, bytes */
  readonly readBytes: number;
  /** why reading it ended early: whoever was sent the chunks cannot know */
  readonly failure: unknown;
  /** To be read once. @throws ReportedError where it is not what its checksum says: before its last bytes */
  chunks(): AsyncGenerator<Buffer>;
}

export const STDIN = '-';
const CHUNK_BYTES = 256 * 1024;
const MAX_CHECKSUM_BYTES = 1024 * 1024;

/**
 * Looks at an archive before it is sent.
 * @param maxBytes what a compressed archive may hold
 * @throws ReportedError where it cannot be read, or is no archive
 */
export async function openArchive(
  path: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<ArchiveSource> {
  if (path === STDIN) {
    return new Source('standard input', () => addAbortSignal(signal, process.stdin), {});
  }
  try {
    const found = await stat(path);
    if (found.isDirectory()) {
      const totalBytes = await bytesBelow(path);
      return new Source(path, () => packLayout(path), { totalBytes, contentBytes: totalBytes });
    }
    const read = () => createReadStream(path, { highWaterMark: CHUNK_BYTES, signal });
    if (!found.isFile()) return new Source(path, read, {}); // a pipe gives what it has once
    const sha256 = await readBeside(path);
    const { contentBytes, bundle, carried } = await scan(path, maxBytes, signal);
    const contents = [...carried].map(([digest, size]) => ({ digest, size }));
    return new Source(path, read, { totalBytes: found.size, contentBytes, contents, bundle, sha256 });
  } catch (error) {
    throw explainReading(error, path);
  }
}

/** @returns the error with what to do about it, or as it was where that is not known */
export function explainReading(error: unknown, path: string): unknown {
  if (error instanceof ArchiveError)
    return new ReportedError(`${path}: ${error.message}. Nothing was imported`, error);
  if (!(error instanceof Error) || !('code' in error)) return error;
  return new ReportedError(`${path} cannot be read: ${error.message}`, error);
}

interface Known {
  totalBytes?: number;
  contentBytes?: number;
  contents?: CarriedContent[];
  bundle?: BundleIndex | undefined;
  sha256?: string | undefined;
}

class Source implements ArchiveSource {
  readonly name: string;
  readonly totalBytes: number | undefined;
  readonly contentBytes: number | undefined;
  readonly isChecked: boolean;
  readonly contents: CarriedContent[] | undefined;
  readonly bundle: BundleIndex | undefined;
  readBytes = 0;
  failure: unknown;
  readonly #open: () => AsyncIterable<Buffer>;
  readonly #sha256: string | undefined;

  constructor(name: string, open: () => AsyncIterable<Buffer>, known: Known) {
    const { totalBytes, contentBytes, contents, bundle, sha256 } = known;
    this.name = name;
    this.contents = contents;
    this.bundle = bundle;
    this.#open = open;
    this.totalBytes = totalBytes;
    this.contentBytes = contentBytes;
    this.#sha256 = sha256;
    this.isChecked = sha256 !== undefined;
  }

  chunks(): AsyncGenerator<Buffer> {
    return this.#sha256 === undefined ? this.#counted() : this.#checked(this.#sha256);
  }

  /** Only what makes reading fail is a failure here: whoever is sent the chunks throws in what goes wrong there. */
  async *#counted(): AsyncGenerator<Buffer> {
    const reader = this.#open()[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { value, done } = await reader.next().catch((error: unknown) => this.#fail(error));
        if (done) return;
        this.readBytes += value.length;
        yield value;
      }
    } finally {
      await reader.return?.();
    }
  }

  #fail(error: unknown): never {
    this.failure = explainReading(error, this.name);
    throw this.failure;
  }

  /** The last chunk is kept back until the hash is right: an archive that ends early is not imported. */
  async *#checked(sha256: string): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    let last: Buffer | undefined;
    for await (const chunk of this.#counted()) {
      if (last) yield last;
      hash.update(chunk);
      last = chunk;
    }
    const found = hash.digest('hex');
    if (found !== sha256) {
      this.#fail(
        new ReportedError(
          `${this.name} is not what ${checksumPath(this.name)} says (${found} instead of ${sha256}): copy it anew. Nothing was imported`,
        ),
      );
    }
    if (last) yield last;
  }
}

/** @returns the checksum beside an archive, undefined where there is none */
async function readBeside(path: string): Promise<string | undefined> {
  const beside = checksumPath(path);
  try {
    if ((await stat(beside)).size > MAX_CHECKSUM_BYTES) throw unusable(beside, path);
    const sha256 = readChecksum(await readFile(beside, 'utf8'), basename(path));
    if (sha256 === undefined) throw unusable(beside, path);
    return sha256;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw explainReading(error, beside);
  }
}

function unusable(beside: string, path: string): ReportedError {
  return new ReportedError(
    `${beside} has no line of sha256sum for ${basename(path)}: copy it anew, or take it away to import without`,
  );
}

async function scan(path: string, maxBytes: number, signal: AbortSignal): Promise<ArchiveScan> {
  return await withoutDelay(scanArchive(path, { maxBytes, maxEntries: MAX_ENTRIES }), signal);
}

/** Unpacking may take a while: nobody waits for its end any more when the command is interrupted. */
async function withoutDelay<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Of the files, without following links. */
async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}
