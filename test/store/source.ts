/** Builds content, and an upstream for it that sends what the test lets through. */
import { createCipheriv } from 'node:crypto';
import { type Digest, type DigestAlgorithm, digestOf } from '../../src/oci/digest.ts';
import type { BlobReader } from '../../src/store/blob-reader.ts';
import type { FillInput, OpenInput } from '../../src/store/fill-sources.ts';

/** Bytes that do not repeat, the same for the same seed. */
export function bytesOf(length: number, seed = 1): Buffer {
  const key = Buffer.alloc(16, seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

export interface SourceOptions {
  /** of the whole content, as it announces; undefined: it does not say */
  size?: number | undefined;
  /** bytes from the start of the content that may leave before `allow` */
  allowed?: number;
  chunkBytes?: number;
  /** what it throws once everything that is allowed was sent, the first time */
  failure?: Error;
}

/** An upstream that holds one piece of content. */
export class Source {
  readonly content: Buffer;
  /** offsets that it was asked for */
  readonly asked: number[] = [];
  /** bytes that left it */
  sent = 0;
  readonly #size: number | undefined;
  readonly #chunkBytes: number;
  #allowed: number;
  #failure: Error | undefined;
  #moved = Promise.withResolvers<void>();

  constructor(content: Buffer, options: SourceOptions = {}) {
    this.content = content;
    this.#size = 'size' in options ? options.size : content.length;
    this.#allowed = options.allowed ?? content.length;
    this.#chunkBytes = options.chunkBytes ?? 16 * 1024;
    this.#failure = options.failure;
  }

  get digest(): Digest {
    return this.digestWith('sha256');
  }

  digestWith(algorithm: DigestAlgorithm): Digest {
    return digestOf(this.content, algorithm);
  }

  /** Lets the bytes before `upTo` leave. */
  allow(upTo = this.content.length): void {
    this.#allowed = upTo;
    this.#wake();
  }

  /** Breaks off once what is allowed was sent. */
  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  readonly open: OpenInput = async ({ from, signal }) => {
    this.asked.push(from);
    return this.input(from, signal);
  };

  input(from = 0, signal: AbortSignal = new AbortController().signal): FillInput {
    return { size: this.#size, chunks: this.#chunks(from, signal) };
  }

  async *#chunks(from: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const abort = (): void => this.#wake();
    signal.addEventListener('abort', abort);
    try {
      for (let position = from; position < this.content.length || this.#failure; ) {
        signal.throwIfAborted();
        const end = Math.min(this.#allowed, position + this.#chunkBytes, this.content.length);
        if (end > position) {
          this.sent += end - position;
          yield this.content.subarray(position, end);
          position = end;
        } else if (this.#failure) {
          const failure = this.#failure;
          this.#failure = undefined;
          throw failure;
        } else {
          await this.#moved.promise;
        }
      }
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #wake(): void {
    const { resolve } = this.#moved;
    this.#moved = Promise.withResolvers();
    resolve();
  }
}

/** Reads to the end, as a client does, and closes. @throws what the reader throws; `got` holds what came before */
export async function readToEnd(
  reader: BlobReader,
  { from = 0, bufferBytes = 64 * 1024, got = [] as Buffer[] } = {},
): Promise<Buffer> {
  try {
    for (let position = from; ; ) {
      const buffer = Buffer.alloc(bufferBytes);
      const bytes = await reader.read(buffer, position);
      if (bytes === 0) return Buffer.concat(got);
      got.push(buffer.subarray(0, bytes));
      position += bytes;
    }
  } finally {
    reader.close();
  }
}

/** Reads until `upTo`, which must be there. */
export async function readUpTo(reader: BlobReader, upTo: number, from = 0): Promise<Buffer> {
  const buffer = Buffer.alloc(upTo - from);
  let position = from;
  while (position < upTo) {
    const bytes = await reader.read(buffer.subarray(position - from), position);
    if (bytes === 0) throw new Error(`the content ended at ${position}`);
    position += bytes;
  }
  return buffer;
}
