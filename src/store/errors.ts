/** Owns the ways in which keeping content can fail. None of them knows about clients. */
import type { Digest } from '../oci/digest.ts';

/** Upstream's bytes are not what the digest says. */
export class DigestMismatchError extends Error {
  readonly wanted: Digest;
  readonly found: Digest;
  /** bytes received */
  readonly size: number;

  constructor(wanted: Digest, found: Digest, size: number) {
    super(`content of ${wanted} is ${found} (${size} bytes)`);
    this.name = 'DigestMismatchError';
    this.wanted = wanted;
    this.found = found;
    this.size = size;
  }
}

/** Upstream sent more than it had announced. */
export class OversizeError extends Error {
  constructor(digest: Digest, size: number) {
    super(`upstream sent more for ${digest} than the ${size} bytes it had announced`);
    this.name = 'OversizeError';
  }
}

/** @returns whether upstream sent other content than it was asked for: to be thrown away, and asked for once more */
export function isWrongContent(error: unknown): boolean {
  return error instanceof DigestMismatchError || error instanceof OversizeError;
}

/** Upstream does not go on from where a partial file ends: it is to be fetched from the start. */
export class PartialRefusedError extends Error {
  constructor(cause: unknown) {
    super('upstream does not continue a partial download', { cause });
    this.name = 'PartialRefusedError';
  }
}

/** The disk refused; the content may still be had past it. */
export class StorageError extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'StorageError';
  }
}

/** The budget has no room for content that turned out larger: the disk is all right. */
export class NoRoomError extends StorageError {
  constructor() {
    super('growing a fill', new Error('it is larger than what the budget has left'));
    this.name = 'NoRoomError';
  }
}

/** The content is asked for once more, and is announced with another size: who has told the first one must not go on. */
export class ResizedError extends Error {
  constructor(cause: unknown) {
    super('the content has another size than was announced first', { cause });
    this.name = 'ResizedError';
  }
}

/** What a reader was shown of unproven content cannot be gone on with: not even with the same content from elsewhere. */
export class BrokenOffError extends Error {
  constructor(cause: unknown) {
    super('the content broke off before it was proven', { cause });
    this.name = 'BrokenOffError';
  }
}

/** The store is closing: what runs is kept for the next start. */
export class StoreClosingError extends Error {
  constructor() {
    super('hubcap is stopping');
    this.name = 'StoreClosingError';
  }
}
