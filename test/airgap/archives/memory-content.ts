/** Owns a place for content in memory: what an archive is read into and a bundle is written from, in tests. */
import { createHash } from 'node:crypto';
import type { ContentSink, ContentSource } from '../../../src/airgap/archive-content.ts';
import { type Digest, digestOf, digestOfHash, hashFor } from '../../../src/oci/digest.ts';
import { DigestMismatchError } from '../../../src/store/errors.ts';

/** Keeps what was proven; says what was asked of it. */
export class MemoryContent implements ContentSink, ContentSource {
  readonly kept = new Map<Digest, Buffer>();
  /** digests whose bytes were read from an archive */
  readonly received: Digest[] = [];

  sizeOf(digest: Digest): number | undefined {
    return this.kept.get(digest)?.length;
  }

  async put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void> {
    const content = await collect(body);
    const found = digestOfHash(
      digest.startsWith('sha512') ? 'sha512' : 'sha256',
      hashFor(digest).update(content),
    );
    if (found !== digest || content.length !== size)
      throw new DigestMismatchError(digest, found, content.length);
    this.received.push(digest);
    this.kept.set(digest, content);
  }

  async take(size: number, body: AsyncIterable<Buffer>): Promise<Digest> {
    const content = await collect(body);
    if (content.length !== size) throw new Error('the reader let a wrong size through');
    const digest = digestOfHash('sha256', createHash('sha256').update(content));
    this.received.push(digest);
    this.kept.set(digest, content);
    return digest;
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const content = this.kept.get(digest);
    return content && content.length <= maxBytes ? content : undefined;
  }

  async *open(digest: Digest): AsyncGenerator<Buffer> {
    const content = this.kept.get(digest);
    if (!content) throw new Error(`${digest} is not here`);
    for (let at = 0; at < content.length; at += 1000) yield content.subarray(at, at + 1000);
  }

  /** Puts content there without an archive. */
  add(content: Buffer | string, algorithm: 'sha256' | 'sha512' = 'sha256'): { digest: Digest; size: number } {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes, algorithm);
    this.kept.set(digest, bytes);
    return { digest, size: bytes.length };
  }
}

/** @returns all that comes, as one buffer */
export async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** @returns the bytes in pieces of `size` */
export async function* inPieces(bytes: Buffer, size = 4096): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
