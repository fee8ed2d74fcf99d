/** Owns the making of layers: real tar archives with content that is random, and the same every time. */

import { createCipheriv, createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';

export interface LayerSpec {
  /** Of the file inside. The layer is a little larger. */
  bytes: number;
  /** Equal seeds and sizes make equal layers. */
  seed: string;
}

/** A layer while it is being read, once. */
export interface LayerStream {
  /** The gzipped archive. */
  body: AsyncIterable<Buffer>;
  /** What is known when the body has ended: digests of the archive as sent and as unpacked, and bytes sent. */
  measured(): { digest: string; diffId: string; size: number };
}

const kilobyte = 1024;
const chunkBytes = 256 * kilobyte;
const blockBytes = 512;

/** Above this nothing is compressed: random content does not get smaller, and gzip costs seconds per 100 MB. */
const storedAboveBytes = 4 * kilobyte * kilobyte;

/** Makes a layer as a stream, so that its size does not matter to memory. */
export function makeLayer(spec: LayerSpec): LayerStream {
  const unpacked = createHash('sha256');
  const packed = createHash('sha256');
  let size = 0;
  const gzip = createGzip({ level: spec.bytes > storedAboveBytes ? 0 : 6, chunkSize: chunkBytes });
  async function* body(): AsyncGenerator<Buffer> {
    const archive = Readable.from(hashed(tar(spec), unpacked), { objectMode: false });
    archive.on('error', (cause) => gzip.destroy(cause));
    for await (const chunk of hashed(archive.pipe(gzip), packed)) {
      size += chunk.length;
      yield chunk;
    }
  }
  let digests: { digest: string; diffId: string } | undefined;
  return {
    body: body(),
    measured() {
      digests ??= { digest: finish(packed), diffId: finish(unpacked) };
      return { ...digests, size };
    },
  };
}

/** A POSIX tar archive of one file, whose name tells its seed. */
function* tar({ bytes, seed }: LayerSpec): Generator<Buffer> {
  yield tarHeader(`${seed.replaceAll('/', '-')}.bin`, bytes);
  yield* randomBytes(bytes, seed);
  yield Buffer.alloc((blockBytes - (bytes % blockBytes)) % blockBytes);
  yield Buffer.alloc(2 * blockBytes);
}

function tarHeader(name: string, bytes: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  header.write(name, 0, 100, 'utf8');
  header.write('0000644\0', 100); // mode
  header.write('0000000\0', 108); // owner
  header.write('0000000\0', 116); // group
  header.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write('14000000000\0', 136); // modified, in octal: some day in 2021
  header.write(' '.repeat(8), 148); // the checksum counts itself as spaces
  header.write('0', 156); // a regular file
  header.write('ustar\0' + '00', 257);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A stream cipher is the fastest source of bytes that do not repeat and do not change from run to run. */
function* randomBytes(bytes: number, seed: string): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(chunkBytes);
  for (let left = bytes; left > 0; left -= chunkBytes) {
    yield cipher.update(left < chunkBytes ? zeros.subarray(0, left) : zeros);
  }
}

async function* hashed(chunks: AsyncIterable<Buffer> | Iterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

function finish(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}
