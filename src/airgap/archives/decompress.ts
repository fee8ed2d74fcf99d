/** Owns the unpacking of archives: plain, gzip (RFC 1952) or Zstandard (RFC 8878), told apart by their first bytes. */
import { once } from 'node:events';
import { constants, createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import { ArchiveError } from './archive-error.ts';
import { expectZeros } from './zeros.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** As many bytes as tell what a stream is. */
export const MAGIC_BYTES = 4;
const CHUNK_BYTES = 256 * 1024;

/** @param start the first bytes of a stream, `MAGIC_BYTES` where it has that many */
export function compressionOf(start: Uint8Array): Compression {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip';
  const isZstd = start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd;
  return isZstd ? 'zstd' : 'none';
}

/**
 * Unpacks a stream that is compressed and passes on one that is not. Several members or frames in a row are one stream.
 * @throws ArchiveError where it is damaged, cut off, or followed by anything but zeros; what `input` throws
 */
export async function* decompress(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const chunks = new Chunks(input);
  try {
    const start = await readStart(chunks);
    const compression = compressionOf(start);
    if (compression !== 'none') {
      yield* unpack(start, chunks, createEngine(compression), compression);
      return;
    }
    if (start.length > 0) yield start;
    for (let chunk = await chunks.next(); chunk; chunk = await chunks.next()) yield chunk;
  } finally {
    await chunks.close();
  }
}

/**
 * A frame says how much of what was unpacked must be kept to go on, up to 2 GiB. `zstd -19` wants 8 MiB, which is what every
 * reader should give (RFC 8878, 3.1.1.1.2); `--long` and `--ultra` want 128.
 */
const MAX_WINDOW_LOG = 25;

function createEngine(compression: 'gzip' | 'zstd'): Gunzip | ZstdDecompress {
  if (compression === 'gzip') return createGunzip({ chunkSize: CHUNK_BYTES });
  const params = { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
  return createZstdDecompress({ chunkSize: CHUNK_BYTES, params });
}

/** The input in turn. */
class Chunks {
  readonly #iterator: AsyncIterator<Buffer>;
  #isReading = false;

  constructor(input: AsyncIterable<Buffer>) {
    this.#iterator = input[Symbol.asyncIterator]();
  }

  async next(): Promise<Buffer | undefined> {
    this.#isReading = true;
    try {
      const { done, value } = await this.#iterator.next();
      return done ? undefined : value;
    } finally {
      this.#isReading = false;
    }
  }

  async close(): Promise<void> {
    const closing = this.#iterator.return?.();
    if (!this.#isReading) await closing;
    // An engine's input is read ahead. Whoever stops does not wait for bytes that may never come, nor for their error.
    else closing?.catch(() => undefined);
  }
}

async function readStart(chunks: Chunks): Promise<Buffer> {
  let start: Buffer = Buffer.alloc(0);
  while (start.length < MAGIC_BYTES) {
    const chunk = await chunks.next();
    if (!chunk) break;
    start = start.length === 0 ? chunk : Buffer.concat([start, chunk]);
  }
  return start;
}

async function* unpack(
  start: Buffer,
  chunks: Chunks,
  engine: Gunzip | ZstdDecompress,
  compression: Compression,
): AsyncGenerator<Buffer> {
  const feed = new Feed(engine, chunks);
  const feeding = feed.run(start);
  try {
    yield* engine;
  } catch (cause) {
    if (feed.failure !== undefined) throw feed.failure;
    throw notUnpacked(compression, cause);
  } finally {
    engine.destroy();
  }
  await feeding;
  await feed.expectZeros();
}

function notUnpacked(compression: Compression, cause: unknown): ArchiveError {
  const isLarge = cause instanceof Error && 'code' in cause && cause.code === TOO_LARGE;
  const what = isLarge
    ? `needs a window of more than ${2 ** (MAX_WINDOW_LOG - 20)} MiB; compress the archive anew without --long or --ultra`
    : 'is damaged or was cut off; copy the archive anew';
  return new ArchiveError(`the ${compression} data ${what}`, undefined, cause);
}

const TOO_LARGE = 'ZSTD_error_frameParameter_windowTooLarge';

/**
 * Gives an engine its input. The engine ends at the last member that it knows, and says nothing about what follows: what it
 * did not read is kept, to be looked at.
 */
class Feed {
  /** what reading the input threw */
  failure: unknown;
  readonly #engine: Gunzip | ZstdDecompress;
  readonly #chunks: Chunks;
  readonly #over: Promise<unknown>;
  #isOver = false;
  /** given and perhaps not read: at most what the engine queues, and one chunk more */
  #unread: Buffer[] = [];
  #given = 0;

  constructor(engine: Gunzip | ZstdDecompress, chunks: Chunks) {
    this.#engine = engine;
    this.#chunks = chunks;
    this.#over = new Promise((resolve) => {
      for (const event of ['end', 'error', 'close']) engine.once(event, resolve);
    }).then(() => {
      this.#isOver = true;
    });
  }

  async run(start: Buffer): Promise<void> {
    try {
      for (let chunk: Buffer | undefined = start; chunk; chunk = await this.#chunks.next()) {
        this.#keep(chunk);
        if (this.#isOver) return;
        if (!this.#engine.write(chunk)) await Promise.race([once(this.#engine, 'drain'), this.#over]);
        if (this.#isOver) return;
      }
      this.#engine.end();
    } catch (error) {
      this.failure = error;
      this.#engine.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @throws ArchiveError where anything but zeros follows what was unpacked */
  async expectZeros(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.#forgetRead();
    const queued = this.#unread.reduce((sum, { length }) => sum + length, 0);
    const read = this.#engine.bytesWritten - (this.#given - queued);
    expectZeros(Buffer.concat(this.#unread).subarray(read));
    for (let chunk = await this.#chunks.next(); chunk; chunk = await this.#chunks.next()) expectZeros(chunk);
  }

  #keep(chunk: Buffer): void {
    this.#forgetRead();
    this.#unread.push(chunk);
    this.#given += chunk.length;
  }

  #forgetRead(): void {
    let queued = this.#unread.reduce((sum, { length }) => sum + length, 0);
    while (this.#unread.length > 0) {
      const first = this.#unread[0]?.length ?? 0;
      if (this.#engine.bytesWritten < this.#given - queued + first) return;
      queued -= first;
      this.#unread.shift();
    }
  }
}
