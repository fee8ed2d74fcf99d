/** Owns taking content into the store that comes from elsewhere than an upstream: written, proven, then visible. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { release } from '../chunk-memory.ts';
import { algorithmOf, type Digest, type DigestAlgorithm, digestOfHash } from '../oci/digest.ts';
import { BatchWriter } from './batch-writer.ts';
import type { DiskStore } from './disk-store.ts';
import { DigestMismatchError, NoRoomError, StorageError } from './errors.ts';
import { isMissing, type Layout } from './layout.ts';

export interface IntakeContent {
  /** undefined where it is not known what it is */
  digest: Digest | undefined;
  /** bytes */
  size: number;
  /** nobody else may use its chunks any more */
  body: AsyncIterable<Buffer>;
}

export interface TakenContent {
  /** what it is */
  digest: Digest;
  /** whether it was not in the store before */
  isNew: boolean;
}

/**
 * A file is in `fills/` under a name that is no digest's until it is proven: the next start removes what a killed
 * process left there.
 */
export class Intake {
  readonly #store: DiskStore;
  readonly #layout: Layout;
  #sequence = 0;

  constructor(store: DiskStore, layout: Layout) {
    this.#store = store;
    this.#layout = layout;
  }

  /**
   * @throws DigestMismatchError where it is not what it should be; NoRoomError; StorageError; what `body` throws
   */
  async take({ digest, size, body }: IntakeContent): Promise<TakenContent> {
    const reservation = await this.#store.ledger.reserve(size);
    if (!reservation) throw new NoRoomError();
    const path = join(this.#layout.fills, `intake-${process.pid}-${this.#sequence++}`);
    try {
      const found = await this.#write(path, digest, body, size, (bytes) => reservation.wrote(bytes));
      const isNew = this.#store.sizeOf(found) !== size;
      if (isNew) await this.#store.adopt(found, path, size, () => reservation.release());
      else await this.#discard(path);
      return { digest: found, isNew };
    } catch (error) {
      await this.#discard(path);
      throw error;
    } finally {
      reservation.release();
    }
  }

  async #write(
    path: string,
    wanted: Digest | undefined,
    body: AsyncIterable<Buffer>,
    size: number,
    written: (bytes: number) => void,
  ): Promise<Digest> {
    const algorithm = wanted ? algorithmOf(wanted) : 'sha256';
    const file = await onDisk('opening a file', () => open(path, 'wx', 0o640));
    try {
      const found = await copy(file, body, algorithm, written);
      if (found.bytes !== size || (wanted && found.digest !== wanted))
        throw new DigestMismatchError(wanted ?? found.digest, found.digest, found.bytes);
      await onDisk('syncing content', () => file.datasync());
      return found.digest;
    } finally {
      await file.close().catch(() => undefined); // what was synced is on disk, and what was not is not taken
    }
  }

  async #discard(path: string): Promise<void> {
    await unlink(path).catch((error: unknown) => {
      if (!isMissing(error)) throw new StorageError('removing a file', error);
    });
  }
}

async function copy(
  file: FileHandle,
  body: AsyncIterable<Buffer>,
  algorithm: DigestAlgorithm,
  written: (bytes: number) => void,
): Promise<{ digest: Digest; bytes: number }> {
  const hash = createHash(algorithm);
  const writer = new BatchWriter(file, 0, { written, done: release });
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.length;
    await writer.push(chunk); // gone when it is written
  }
  await writer.flush();
  return { digest: digestOfHash(algorithm, hash), bytes };
}

async function onDisk<T>(what: string, work: () => Promise<T>): Promise<T> {
  return await work().catch((error: unknown) => {
    throw new StorageError(what, error);
  });
}
