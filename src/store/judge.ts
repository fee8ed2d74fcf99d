/** Owns the judgement of files: proven content is taken in, all else is set aside and never served. */
import { lstat } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { algorithmOf, type Digest } from '../oci/digest.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Aside } from './aside.ts';
import type { StoreObserver } from './disk-store.ts';
import { StorageError, StoreClosingError } from './errors.ts';
import type { FindingKind, StoreFinding } from './findings.ts';
import { hashFile, openRegular, type RegularFile } from './hash-file.ts';
import { isMissing, type Layout } from './layout.ts';
import type { OpenFiles } from './open-files.ts';
import type { Stock } from './stock.ts';
import type { Turns } from './turns.ts';
import type { Unproven } from './unproven.ts';

export interface JudgeParts {
  layout: Layout;
  stock: Stock;
  turns: Turns;
  files: OpenFiles;
  aside: Aside;
  unproven: Unproven;
  observer: StoreObserver;
  now: () => number;
}

/** What became of a file without a row; `stored` has got one meanwhile. */
export type Proof =
  | { kind: 'adopted'; bytes: number }
  | { kind: 'stored' | 'absent' }
  | { kind: 'found'; finding: StoreFinding };

/** Bounds what is remembered of files that a disk does not let go. */
const MAX_REMEMBERED = 10_000;

/**
 * Hashing goes on outside the digest's turn, however long it takes. What is done about its result is done in the
 * turn, and only if the file is still the one that was hashed.
 */
export class Judge {
  readonly #parts: JudgeParts;
  readonly #proving = new SingleFlight<Proof>();
  /** files that are not what they should be and cannot be moved, by inode */
  readonly #refused = new LRUCache<Digest, number>({ max: MAX_REMEMBERED });
  /** what stays where it is has been told of once */
  readonly #told = new LRUCache<string, FindingKind>({ max: MAX_REMEMBERED });
  #isClosed = false;

  constructor(parts: JudgeParts) {
    this.#parts = parts;
  }

  /**
   * Hashes a file that no row vouches for, once for all who ask meanwhile, and takes it in if it is what its name
   * says.
   * @throws what the file system says; StoreClosingError
   */
  prove(digest: Digest): Promise<Proof> {
    return this.#proving.run(digest, () => this.#prove(digest)).result;
  }

  /** Counts a file that no row vouches for, so that the budget holds until it is judged. */
  async countUnproven(digest: Digest): Promise<void> {
    const { layout, turns, stock, unproven } = this.#parts;
    await turns.run(digest, async () => {
      const there = await lstat(layout.blob(digest)).catch(ignoreMissing);
      // Looked up in its turn: a file that is being placed has its row by now.
      if (there?.isFile() && stock.sizeOf(digest) === undefined) unproven.count(digest, there.size);
    });
  }

  /** Whether the file is known to be wrong and could not be moved. */
  isRefused(digest: Digest, ino: number): boolean {
    return this.#refused.get(digest) === ino;
  }

  /** New content has taken the digest's place. */
  placed(digest: Digest): void {
    this.#refused.delete(digest);
  }

  /**
   * Takes a file that is not what its name says out of the store.
   * @param ino the file that was looked at; nothing is done where another one has taken its place
   */
  async setAside(digest: Digest, ino: number): Promise<StoreFinding | undefined> {
    const { layout, turns, files, aside } = this.#parts;
    return await turns.run(digest, async () => {
      const path = layout.blob(digest);
      const there = await lstat(path).catch(ignoreMissing);
      if (there?.ino !== ino) return undefined;
      this.#refused.set(digest, ino); // whatever the disk and the catalog say next
      files.forget(digest, 0);
      const moved = await this.#attempt('setting content aside', () => aside.take(path));
      const isSetAside = moved !== undefined;
      if (isSetAside) this.#refused.delete(digest);
      await this.#forget(digest, 'damaged');
      return this.#tell({ what: 'damaged', name: digest, bytes: there.size, isSetAside });
    });
  }

  /** Forgets a row whose file is gone, or is no file. @returns undefined where neither is so by now */
  async forgetMissing(digest: Digest): Promise<StoreFinding | undefined> {
    const { layout, turns, files } = this.#parts;
    return await turns.run(digest, async () => {
      const there = await lstat(layout.blob(digest)).catch(ignoreMissing);
      if (there?.isFile()) return undefined;
      files.forget(digest, 0);
      if (!(await this.#forget(digest, 'missing'))) return undefined;
      const what = there ? 'irregular' : 'missing';
      return this.#tell({ what, name: digest, bytes: 0, isSetAside: false });
    });
  }

  /** Takes a file that is no content out of the store. @returns undefined where it is gone by now */
  async setAsideUnknown(path: string): Promise<StoreFinding | undefined> {
    const there = await lstat(path).catch(ignoreMissing);
    if (!there) return undefined;
    if (!there.isFile()) return this.irregular(path);
    const moved = await this.#attempt('setting a file aside', () => this.#parts.aside.take(path));
    const isSetAside = moved !== undefined;
    return this.#tell({ what: 'unknown', name: path, bytes: there.size, isSetAside });
  }

  /** Takes away a download that belongs to nobody; the caller has made sure of that in the same turn. */
  setAsideLeftover(path: string): StoreFinding | undefined {
    try {
      const bytes = this.#parts.aside.takeAtOnce(path);
      if (bytes === undefined) return undefined;
      return this.#tell({ what: 'leftover', name: path, bytes, isSetAside: true });
    } catch (error) {
      this.#parts.observer.storageFailed(new StorageError('setting a file aside', error));
      return this.#tell({ what: 'leftover', name: path, bytes: 0, isSetAside: false });
    }
  }

  irregular(name: string): StoreFinding {
    return this.#tell({ what: 'irregular', name, bytes: 0, isSetAside: false });
  }

  unreadable(digest: Digest): StoreFinding {
    const bytes = this.#parts.stock.sizeOf(digest) ?? 0;
    return this.#tell({ what: 'unreadable', name: digest, bytes, isSetAside: false });
  }

  /** Proofs that run end soon, and change nothing any more. */
  close(): void {
    this.#isClosed = true;
  }

  async #prove(digest: Digest): Promise<Proof> {
    const { layout, stock, turns } = this.#parts;
    // A file that is being placed is proven already: its row comes at the end of that turn.
    if (await turns.run(digest, async () => stock.sizeOf(digest) !== undefined)) return { kind: 'stored' };
    const opened = await openRegular(layout.blob(digest));
    if (!opened) return { kind: 'absent' };
    if (opened === 'irregular') return { kind: 'found', finding: this.irregular(digest) };
    try {
      if (this.isRefused(digest, opened.ino)) return { kind: 'absent' };
      const isProven = (await this.#hash(opened, digest)) === digest;
      if (isProven) return await this.#adopt(digest, opened);
    } finally {
      await opened.file.close();
    }
    this.#parts.unproven.settle(digest, opened.size);
    const finding = await this.setAside(digest, opened.ino);
    return finding ? { kind: 'found', finding } : { kind: 'absent' };
  }

  async #hash({ file }: RegularFile, digest: Digest): Promise<Digest> {
    const hashing = hashFile(file, algorithmOf(digest));
    for (;;) {
      const step = await hashing.next();
      if (step.done) return step.value;
      if (this.#isClosed) throw new StoreClosingError();
    }
  }

  async #adopt(digest: Digest, { size, ino, mtimeMs }: RegularFile): Promise<Proof> {
    const { layout, stock, turns, unproven, now } = this.#parts;
    return await turns.run<Proof>(digest, async () => {
      const there = await lstat(layout.blob(digest)).catch(ignoreMissing);
      if (this.#isClosed) throw new StoreClosingError();
      if (stock.sizeOf(digest) !== undefined) return { kind: 'stored' };
      if (there?.ino !== ino || there.size !== size) return { kind: 'absent' };
      // When it was last used is not known: it was not before it came.
      stock.add(digest, size, Math.min(Math.floor(mtimeMs), now()));
      unproven.settle(digest, size);
      return { kind: 'adopted', bytes: size };
    });
  }

  /** @returns whether there was something to forget; where it cannot be forgotten the observer is told */
  async #forget(digest: Digest, reason: 'damaged' | 'missing'): Promise<boolean> {
    const { stock, observer } = this.#parts;
    const size = stock.sizeOf(digest);
    if (size === undefined) return false;
    await this.#attempt('forgetting content', async () => {
      await stock.remove(digest, size, async () => undefined);
      observer.removed(reason, size);
    });
    return true;
  }

  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#parts.observer.storageFailed(new StorageError(what, error));
      return undefined;
    }
  }

  #tell(finding: StoreFinding): StoreFinding {
    const { name, what, isSetAside } = finding;
    const isNews = isSetAside || what === 'missing' || this.#told.get(name) !== what;
    if (isNews) this.#parts.observer.found(finding);
    if (!isSetAside) this.#told.set(name, what);
    return finding;
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
  return undefined;
}
