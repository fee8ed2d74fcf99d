/** Owns readers that cost little: raw sockets, one buffer each, timed to the first byte of the body. */
import { createHash, type Hash } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface Reading {
  /** from connecting to the first byte of the body */
  firstByteMs: number;
  totalMs: number;
  bytes: number;
}

const BUFFER_BYTES = 256 * 1024;
const HEAD_END = '\r\n\r\n';

export interface ReadOptions {
  /** `sha256:…` that the body must have; costs processor time, so not every reader checks */
  digest?: string | undefined;
  /** called when the first byte of the body is there */
  began?: () => void;
}

/**
 * Reads a URL to its end, on a connection of its own.
 * @throws where the answer is not a 200 of known length, breaks off, or is not the content
 */
export function read(url: string, options: ReadOptions = {}): Promise<Reading> {
  const { hostname, port, host, pathname } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Reading>();
  const body = new Body(options);
  const socket: Socket = connect({
    host: hostname,
    port: Number(port),
    onread: {
      buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES),
      callback: (length, buffer) => {
        try {
          if (body.take(buffer, length)) {
            resolve(body.finish());
            socket.destroy();
          }
        } catch (error) {
          reject(error);
          socket.destroy();
        }
        return true;
      },
    },
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('the answer broke off', { cause: url })));
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\n\r\n`);
  return promise;
}

/** What has come of one answer. */
class Body {
  readonly #startedAt = performance.now();
  readonly #digest: string | undefined;
  readonly #hash: Hash | undefined;
  #head = '';
  #length: number | undefined;
  #bytes = 0;
  readonly #began: () => void;
  #firstByteMs: number | undefined;

  constructor({ digest, began = () => undefined }: ReadOptions) {
    this.#began = began;
    this.#digest = digest;
    this.#hash = digest === undefined ? undefined : createHash('sha256');
  }

  /** Takes the first `length` bytes of `buffer`. @returns whether that was all */
  take(buffer: Uint8Array, length: number): boolean {
    const start = this.#length === undefined ? this.#readHead(Buffer.from(buffer.buffer, 0, length)) : 0;
    if (length > start) {
      this.#noteFirstByte();
      this.#bytes += length - start;
      this.#hash?.update(buffer.subarray(start, length));
    }
    return this.#bytes === this.#length;
  }

  #noteFirstByte(): void {
    if (this.#firstByteMs !== undefined) return;
    this.#firstByteMs = performance.now() - this.#startedAt;
    this.#began();
  }

  finish(): Reading {
    const found = this.#hash && `sha256:${this.#hash.digest('hex')}`;
    if (found !== this.#digest) throw new Error('wrong content', { cause: found });
    const totalMs = performance.now() - this.#startedAt;
    return { firstByteMs: this.#firstByteMs ?? totalMs, totalMs, bytes: this.#bytes };
  }

  /** @returns where the body starts; the end of the chunk where it does not yet */
  #readHead(chunk: Buffer): number {
    const before = this.#head.length;
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) return chunk.length;
    const head = this.#head.slice(0, end);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) {
      throw new Error('not the answer that was wanted', { cause: head });
    }
    this.#length = Number(length);
    return end + HEAD_END.length - before;
  }
}
