/** Owns the verified content on disk: reading it, filling it, storing small content, removing it. */
import { type FileHandle, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { Aside } from './aside.ts';
import type { BlobReader } from './blob-reader.ts';
import type { ContentIndex } from './content-index.ts';
import { freeBytesOf, tryDisk } from './disk.ts';
import { DigestMismatchError, StorageError, StoreClosingError } from './errors.ts';
import { evict } from './eviction.ts';
import type { FillResult } from './fills.ts';
import type { StoreFinding } from './findings.ts';
import { openRegular, type RegularFile } from './hash-file.ts';
import { Judge } from './judge.ts';
import { isMissing, type Layout, placeDurably, writeDurably } from './layout.ts';
import { type EvictionReason, Ledger, sizeOnDisk } from './ledger.ts';
import { OpenFiles } from './open-files.ts';
import { Partials } from './partials.ts';
import { Stock } from './stock.ts';
import { readWhole, storedReader } from './stored-reader.ts';
import { Turns } from './turns.ts';
import { Unproven } from './unproven.ts';

export const REMOVAL_REASONS = ['budget', 'minFree', 'missing', 'damaged', 'requested'] as const;
export type RemovalReason = (typeof REMOVAL_REASONS)[number];

/** What the store tells about itself, for metrics and the log. */
export interface StoreObserver {
  /** @param idleMs how long nobody had wanted it, where that is known */
  removed(reason: RemovalReason, bytes: number, idleMs?: number): void;
  found(finding: StoreFinding): void;
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

/**
 * Files are the truth, and a row means that its file was proven: a row without a file is forgotten when it is met, a
 * file without a row is hashed before it is taken in, and a file whose size differs from its row is set aside, never
 * served. A file is placed, removed and judged in its digest's turn.
 */
export class DiskStore {
  readonly ledger: Ledger;
  readonly partials: Partials;
  readonly aside: Aside;
  readonly judge: Judge;
  readonly unproven: Unproven;
  readonly #options: DiskStoreOptions;
  readonly #stock: Stock;
  readonly #turns = new Turns();
  readonly #files = new OpenFiles();
  /** whose file is gone and whose row is not, with why: no more than there are rows */
  readonly #halfRemoved = new Map<Digest, RemovalReason>();
  #sequence = 0;
  #isClosed = false;

  constructor(options: DiskStoreOptions) {
    this.#options = options;
    const { layout, index, maxBytes, minFreeBytes, now } = options;
    this.ledger = new Ledger({
      maxBytes,
      minFreeBytes,
      freeBytes: () => this.freeBytes(),
      evict: (bytes, reason) => this.#evict(bytes, reason),
      comingBytes: () => this.#files.orphanedBytes,
      pinnedBytes: () => index.pinnedBytes,
    });
    this.partials = new Partials(layout, this.ledger, now);
    this.aside = new Aside(layout, this.ledger, now);
    this.unproven = new Unproven(this.ledger);
    this.#stock = new Stock(index, this.ledger);
    this.judge = new Judge({
      ...options,
      stock: this.#stock,
      turns: this.#turns,
      files: this.#files,
      aside: this.aside,
      unproven: this.unproven,
    });
  }

  /** how many blobs are stored */
  get objects(): number {
    return this.#stock.objects;
  }

  /** @returns the size of stored content in bytes, as far as the catalog knows */
  sizeOf(digest: Digest): number | undefined {
    return this.#stock.sizeOf(digest);
  }

  /** Opens stored content and notes the use. @returns undefined where it is not stored. @throws StorageError */
  async open(digest: Digest): Promise<BlobReader | undefined> {
    return (await this.#open(digest))?.reader;
  }

  /** Reads stored content whole. @param maxBytes more than this is not read: a manifest is small */
  async readAll(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const opened = await this.#open(digest);
    if (!opened) return undefined;
    const { reader, size, ino } = opened;
    try {
      if (size > maxBytes) return undefined;
      const body = await readWhole(reader, size);
      if (digestOf(body, algorithmOf(digest)) === digest) return body;
    } finally {
      reader.close();
    }
    await this.#setAside(digest, ino);
    return undefined;
  }

  /** @returns whether content is stored, once what is being done to it is done */
  async isStored(digest: Digest): Promise<boolean> {
    return await this.#turns.run(digest, async () => this.sizeOf(digest) !== undefined);
  }

  /** @returns when stored content was last used, ms since the epoch */
  lastUsedAtMs(digest: Digest): number | undefined {
    return this.#options.index.lastUsedAtMs(digest);
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
      const settle = (): void => reservation.release();
      await this.#place(digest, body.length, (target) => rename(temporary, target), settle);
    } catch (error) {
      await unlink(temporary).catch(() => undefined); // find() removes leftovers at the next start
      throw this.#failed('storing content', error);
    } finally {
      reservation.release();
    }
    return true;
  }

  /**
   * Moves a file that was written, synced and proven into the store.
   * @param settle called when the store counts it: what was reserved for it is free
   * @throws StorageError
   */
  async adopt(digest: Digest, path: string, size: number, settle: () => void): Promise<void> {
    await this.#place(digest, size, (target) => rename(path, target), settle).catch((error: unknown) => {
      throw error instanceof StoreClosingError ? error : this.#failed('storing content', error);
    });
  }

  /**
   * Moves the finished file of a fill into the store: file, directory, then catalog.
   * @param settle called when the store counts it: what was reserved for it is free
   * @throws StorageError
   */
  async promote(digest: Digest, file: FileHandle, size: number, settle: () => void): Promise<void> {
    try {
      await file.datasync();
      await this.#place(digest, size, (target) => this.partials.promote(digest, target), settle);
    } catch (error) {
      if (error instanceof StoreClosingError) throw error;
      throw this.#failed('storing a fill', error);
    }
    this.#options.observer.storageWorks();
  }

  /**
   * Removes content; readers that have it open keep reading.
   * @returns its size in bytes, 0 where it was unknown
   * @throws StorageError where the disk refuses; the content is then as it was, or met as missing
   */
  async remove(digest: Digest, reason: RemovalReason): Promise<number> {
    return await this.#turns.run(digest, () => this.#remove(digest, reason));
  }

  /** whether the directory may be another process's by now */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing is placed any more, and no proof changes anything. */
  close(): void {
    this.#isClosed = true;
    this.judge.close();
  }

  /** Ends removals that a full disk kept the catalog from noting. To be called every few seconds. */
  async finishRemovals(): Promise<void> {
    for (const [digest, reason] of [...this.#halfRemoved]) {
      const finish = async (): Promise<void> => {
        if (this.#halfRemoved.has(digest)) await this.#remove(digest, reason); // else it was placed anew
      };
      await this.#turns.run(digest, finish).catch(() => undefined); // told; tried again
    }
  }

  /** In the digest's turn. */
  async #remove(digest: Digest, reason: RemovalReason): Promise<number> {
    const size = this.sizeOf(digest);
    if (size === undefined) {
      this.#halfRemoved.delete(digest);
      return 0;
    }
    // It may have been pinned after it was chosen.
    if (isEviction(reason) && !this.#halfRemoved.has(digest) && this.#options.index.isPinned(digest))
      return 0;
    const usedAtMs = this.lastUsedAtMs(digest);
    const clear = async (): Promise<void> => {
      await unlink(this.#options.layout.blob(digest)).catch(ignoreMissing);
      this.#halfRemoved.set(digest, reason);
    };
    await this.#stock.remove(digest, size, clear).catch((error: unknown) => {
      throw this.#failed('removing content', error);
    });
    this.#halfRemoved.delete(digest);
    this.#files.forget(digest, sizeOnDisk(size));
    const idleMs = usedAtMs === undefined ? undefined : Math.max(0, this.#options.now() - usedAtMs);
    this.#options.observer.removed(reason, size, idleMs);
    return size;
  }

  /** @returns what unprivileged writers may still use of the file system, bytes. @throws StorageError */
  async freeBytes(): Promise<number> {
    return await freeBytesOf(this.#options.layout).catch((error: unknown) => {
      throw this.#failed('asking for the free space', error);
    });
  }

  /** Tries the disk. @throws StorageError where it cannot be written */
  async probe(): Promise<void> {
    await tryDisk(this.#options.layout).catch((error: unknown) => {
      throw this.#failed('trying the disk', error);
    });
    this.#options.observer.storageWorks();
  }

  async #open(digest: Digest): Promise<{ reader: BlobReader; size: number; ino: number } | undefined> {
    try {
      const lease = await this.#files.lease(digest, () => this.#openProven(digest));
      if (!lease) return undefined;
      const { size, ino } = lease;
      this.use(digest);
      const isShorter = (): void => {
        this.#setAside(digest, ino).catch(() => undefined); // the observer has been told
      };
      const failed = (error: StorageError): void => {
        this.#options.observer.storageFailed(error);
        isShorter(); // what cannot be read is of no use to the next client either: it is fetched again
      };
      return { reader: storedReader(lease, { isShorter, failed }), size, ino };
    } catch (error) {
      if (error instanceof StoreClosingError) throw error;
      throw this.#failed('opening content', error);
    }
  }

  /**
   * Called where nobody reads the content: the size is compared then, and not for those who join. hubcap never
   * writes a file in its place, and one that others make shorter is noticed by whoever reads it.
   */
  async #openProven(digest: Digest): Promise<RegularFile | undefined> {
    if (this.sizeOf(digest) === undefined) await this.judge.prove(digest);
    const expected = this.sizeOf(digest);
    if (expected === undefined) return undefined;
    const opened = await openRegular(this.#options.layout.blob(digest));
    if (!opened || opened === 'irregular') {
      await this.judge.forgetMissing(digest);
      return undefined;
    }
    const { file, size, ino } = opened;
    if (expected === size && !this.judge.isRefused(digest, ino)) return opened;
    await file.close();
    await this.#setAside(digest, ino);
    return undefined;
  }

  async #setAside(digest: Digest, ino: number): Promise<void> {
    await this.judge.setAside(digest, ino).catch((error: unknown) => {
      throw this.#failed('setting content aside', error);
    });
  }

  async #place(
    digest: Digest,
    size: number,
    move: (target: string) => Promise<void>,
    settle: () => void,
  ): Promise<void> {
    const { layout, now } = this.#options;
    await this.#turns.run(digest, async () => {
      if (this.#isClosed) throw new StoreClosingError(); // a disk has answered too late: the directory is another's
      await placeDurably(layout, digest, move);
      this.#files.forget(digest, 0);
      this.judge.placed(digest);
      this.#halfRemoved.delete(digest);
      try {
        this.#stock.add(digest, size, now());
        settle();
      } catch (error) {
        await unlink(layout.blob(digest)).catch(() => undefined); // else it is found and proven later
        throw error;
      }
    });
  }

  async #evict(bytes: number, reason: EvictionReason): Promise<number> {
    const { index, now } = this.#options;
    const { aside, partials } = this;
    try {
      const remove = (digest: Digest) => this.remove(digest, reason);
      return await evict({ aside, partials, index, now, remove }, bytes);
    } catch (error) {
      throw this.#failed('making room', error);
    }
  }

  #failed(what: string, error: unknown): StorageError {
    const failure = error instanceof StorageError ? error : new StorageError(what, error);
    this.#options.observer.storageFailed(failure);
    return failure;
  }
}

/** Whether room had to be made. */
export function isEviction(reason: RemovalReason): reason is EvictionReason {
  return reason === 'budget' || reason === 'minFree';
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
