/** Owns the verified content on disk: reading it, filling it, storing small content, removing it. */
import { type FileHandle, mkdir, open, rename, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import type { BlobReader } from './blob-reader.ts';
import type { ContentIndex } from './content-index.ts';
import { DigestMismatchError, StorageError } from './errors.ts';
import type { FillResult } from './fills.ts';
import { isMissing, type Layout, syncDirectory, writeDurably } from './layout.ts';
import { Ledger, sizeOnDisk } from './ledger.ts';
import { Partials } from './partials.ts';
import { storedReader } from './stored-reader.ts';

export type RemovalReason = 'budget' | 'missing' | 'damaged' | 'requested';

/** What the store tells about itself, for metrics and the log. */
export interface StoreObserver {
  removed(reason: RemovalReason, bytes: number): void;
  fillEnded(result: FillResult, error?: unknown): void;
  /** a download brought wrong content and is thrown away; it is asked for once more */
  discarded(wrong: unknown): void;
  storageFailed(error: StorageError): void;
  storageWorks(): void;
}

export interface DiskStoreOptions {
  layout: Layout;
  index: ContentIndex;
  maxBytes: number;
  minFreeBytes: number;
  observer: StoreObserver;
  now: () => number;
}

const EVICTION_BATCH = 64;
/** A download that nobody has gone on with for this long is worth less than any content. */
const PARTIAL_AGE_MS = 24 * 3600 * 1000;

/**
 * Files are the truth: a row without a file is forgotten when it is met, a file without a row is taken in, and a
 * file whose size differs from its row is removed, never served.
 */
export class DiskStore {
  readonly ledger: Ledger;
  readonly partials: Partials;
  readonly #options: DiskStoreOptions;
  #objects = 0;
  #sequence = 0;
  readonly #removing = new Set<Digest>();

  constructor(options: DiskStoreOptions) {
    this.#options = options;
    this.ledger = new Ledger({
      maxBytes: options.maxBytes,
      minFreeBytes: options.minFreeBytes,
      freeBytes: () => this.freeBytes(),
      evict: async (bytes) => {
        try {
          return await this.#evict(bytes);
        } catch (error) {
          throw this.#failed('making room', error);
        }
      },
    });
    this.partials = new Partials(options.layout, this.ledger, options.now);
    const { objects, bytes } = options.index.totals(sizeOnDisk(1));
    this.ledger.found(bytes);
    this.#objects = objects;
  }

  /** how many blobs are stored */
  get objects(): number {
    return this.#objects;
  }

  /** @returns the size of stored content in bytes, as far as the catalog knows */
  sizeOf(digest: Digest): number | undefined {
    return this.#options.index.sizeOf(digest);
  }

  /** Opens stored content and notes the use. @returns undefined where it is not stored */
  async open(digest: Digest): Promise<BlobReader | undefined> {
    const file = await this.#openFile(digest);
    if (!file) return undefined;
    try {
      const { size } = await file.stat();
      const expected = this.#options.index.sizeOf(digest);
      if (expected === undefined || expected === size) {
        if (expected === undefined) this.adopt(digest, size);
        this.#options.index.use(digest, this.#options.now());
        return storedReader(file, size);
      }
    } catch (error) {
      await file.close();
      throw this.#failed('opening content', error);
    }
    await file.close();
    await this.remove(digest, 'damaged');
    return undefined;
  }

  /** Reads stored content whole. @param maxBytes more than this is not read: a manifest is small */
  async readAll(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const reader = await this.open(digest);
    if (!reader) return undefined;
    try {
      const size = reader.size ?? 0;
      if (size > maxBytes) return undefined;
      const body = Buffer.alloc(size);
      let position = 0;
      while (position < size) {
        const bytesRead = await reader.read(body.subarray(position), position);
        if (bytesRead === 0) break;
        position += bytesRead;
      }
      if (digestOf(body, algorithmOf(digest)) === digest) return body;
    } finally {
      reader.close();
    }
    await this.remove(digest, 'damaged');
    return undefined;
  }

  /** Notes a use of content that was served from memory. */
  use(digest: Digest): void {
    this.#options.index.use(digest, this.#options.now());
  }

  /**
   * Stores small content.
   * @returns whether it is stored now; false where it does not fit
   * @throws DigestMismatchError; StorageError
   */
  async put(digest: Digest, body: Buffer): Promise<boolean> {
    const found = digestOf(body, algorithmOf(digest));
    if (found !== digest) throw new DigestMismatchError(digest, found, body.length);
    if (this.sizeOf(digest) === body.length) return true;
    const reservation = await this.ledger.reserve(body.length);
    if (!reservation) return false;
    const temporary = join(this.#options.layout.fills, `put-${process.pid}-${this.#sequence++}`);
    try {
      await writeDurably(temporary, body);
      await this.#place(digest, (target) => rename(temporary, target));
    } catch (error) {
      reservation.release();
      await unlink(temporary).catch(() => undefined); // find() removes leftovers at the next start
      throw this.#failed('storing content', error);
    }
    reservation.release();
    try {
      this.adopt(digest, body.length);
    } catch (error) {
      throw this.#failed('noting content in the catalog', error);
    }
    return true;
  }

  /** Moves the finished file of a fill into the store: file, directory, then catalog. @throws StorageError */
  async promote(digest: Digest, file: FileHandle, size: number): Promise<void> {
    try {
      await file.datasync();
      await this.#place(digest, (target) => this.partials.promote(digest, target));
    } catch (error) {
      throw this.#failed('storing a fill', error);
    }
    try {
      this.adopt(digest, size);
    } catch (error) {
      await unlink(this.#options.layout.blob(digest)).catch(() => undefined); // else it is found at the next start
      throw this.#failed('noting a fill in the catalog', error);
    }
    this.#options.observer.storageWorks();
  }

  /** Notes a file that is in its place. */
  adopt(digest: Digest, size: number): void {
    if (this.#options.index.sizeOf(digest) !== undefined) return;
    this.#options.index.add({ digest, size }, this.#options.now());
    this.ledger.found(size);
    this.#objects += 1;
  }

  /**
   * Removes content; readers that have it open keep reading.
   * @returns its size in bytes, 0 where it was unknown
   * @throws StorageError where the disk refuses; the content is then as it was, or met as missing
   */
  async remove(digest: Digest, reason: RemovalReason): Promise<number> {
    const size = this.#options.index.sizeOf(digest);
    if (size === undefined || this.#removing.has(digest)) return 0;
    this.#removing.add(digest);
    this.ledger.deleting(size);
    try {
      // The file first: on a full disk the catalog can note nothing before there is room again.
      await unlink(this.#options.layout.blob(digest)).catch(ignoreMissing);
      this.#options.index.remove(digest);
    } catch (error) {
      this.ledger.found(size);
      throw this.#failed('removing content', error);
    } finally {
      this.#removing.delete(digest);
      this.ledger.deleted(size);
    }
    this.#objects -= 1;
    this.#options.observer.removed(reason, size);
    return size;
  }

  /** @returns what unprivileged writers may still use of the file system, bytes. @throws StorageError */
  async freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#options.layout.root);
      return bavail * bsize;
    } catch (error) {
      throw this.#failed('asking for the free space', error);
    }
  }

  /** Tries the disk. @throws StorageError where it cannot be written */
  async probe(): Promise<void> {
    const path = join(this.#options.layout.fills, `probe-${process.pid}`);
    try {
      await this.#options.layout.create(); // somebody may have removed the directory
      await writeDurably(path, Buffer.from('hubcap'));
      await unlink(path);
    } catch (error) {
      throw this.#failed('trying the disk', error);
    }
    this.#options.observer.storageWorks();
  }

  #failed(what: string, error: unknown): StorageError {
    const failure = error instanceof StorageError ? error : new StorageError(what, error);
    this.#options.observer.storageFailed(failure);
    return failure;
  }

  async #openFile(digest: Digest): Promise<FileHandle | undefined> {
    try {
      return await open(this.#options.layout.blob(digest), 'r');
    } catch (error) {
      if (!isMissing(error)) throw this.#failed('opening content', error);
      await this.remove(digest, 'missing');
      return undefined;
    }
  }

  async #place(digest: Digest, move: (target: string) => Promise<void>): Promise<void> {
    const shard = this.#options.layout.shardOf(digest);
    const made = await mkdir(shard, { recursive: true, mode: 0o750 });
    await move(this.#options.layout.blob(digest));
    await syncDirectory(shard);
    if (made !== undefined) await syncDirectory(join(shard, '..'));
  }

  /** Abandoned downloads that have become old go first, then content by last use, then any abandoned download. */
  async #evict(bytes: number): Promise<number> {
    let freed = await this.partials.discardOldest(this.#options.now() - PARTIAL_AGE_MS);
    while (freed < bytes) {
      const taken = await this.#evictBatch(bytes - freed);
      if (taken === 0) break;
      freed += taken;
    }
    return freed > 0 ? freed : await this.partials.discardOldest(this.#options.now());
  }

  async #evictBatch(bytes: number): Promise<number> {
    let freed = 0;
    for (const { digest, size } of this.#options.index.leastRecentlyUsed(EVICTION_BATCH)) {
      if (freed >= bytes) break;
      try {
        await this.remove(digest, 'budget');
        freed += sizeOnDisk(size);
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.use(digest); // told to the observer; one file that cannot go must not keep the others
      }
    }
    return freed;
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
