/** Owns the rows that say which content is on disk and when it was last used: what eviction goes by. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Digest } from '../oci/digest.ts';
import { sizeOnDisk } from './ledger.ts';
import { transact } from './transaction.ts';

export interface StoredContent {
  digest: Digest;
  /** bytes */
  size: number;
}

/**
 * The index of the store's files. Last uses are kept in memory and written in batches, before each question
 * about the order and when `flushUses` is called; the memory for them is bounded.
 */
export class ContentIndex {
  readonly #database: DatabaseSync;
  readonly #uses = new Map<Digest, number>();
  readonly #select: StatementSync;
  readonly #selectUse: StatementSync;
  readonly #insert: StatementSync;
  readonly #touch: StatementSync;
  readonly #oldest: StatementSync;
  readonly #selectPinned: StatementSync;
  readonly #updatePinned: StatementSync;
  readonly #removals: StatementSync[];
  #pinnedBytes: number;

  static readonly #MAX_PENDING_USES = 4096;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#select = database.prepare('SELECT size FROM blobs WHERE digest = ?');
    this.#selectUse = database.prepare('SELECT last_used FROM blobs WHERE digest = ?');
    this.#insert = database.prepare(
      `INSERT INTO blobs (digest, size, last_used, is_pinned)
       VALUES (?1, ?2, ?3, EXISTS (SELECT 1 FROM pinned WHERE digest = ?1))
       ON CONFLICT (digest) DO UPDATE SET size = excluded.size`,
    );
    this.#touch = database.prepare('UPDATE blobs SET last_used = max(last_used, ?) WHERE digest = ?');
    this.#oldest = database.prepare(
      'SELECT digest, size FROM blobs WHERE is_pinned = 0 ORDER BY last_used LIMIT ?',
    );
    this.#selectPinned = database.prepare('SELECT size FROM blobs WHERE digest = ? AND is_pinned = 1');
    this.#updatePinned = database.prepare(
      `UPDATE blobs SET is_pinned = 1 - is_pinned
        WHERE digest = ?1 AND is_pinned <> EXISTS (SELECT 1 FROM pinned WHERE digest = ?1) RETURNING size, is_pinned`,
    );
    this.#pinnedBytes = readPinnedBytes(database);
    this.#removals = [
      'DELETE FROM blobs WHERE digest = ?',
      'DELETE FROM holdings WHERE digest = ?',
      'DELETE FROM manifests WHERE digest = ?',
      'DELETE FROM links WHERE parent = ?',
      'DELETE FROM subjects WHERE digest = ?',
      'DELETE FROM tags WHERE digest = ?',
    ].map((sql) => database.prepare(sql));
  }

  /** @returns the size in bytes of stored content, undefined where there is no row */
  sizeOf(digest: Digest): number | undefined {
    const row = this.#select.get(digest);
    return row && Number(row.size);
  }

  /** @returns when stored content was last used, ms since the epoch; undefined where there is no row */
  lastUsedAtMs(digest: Digest): number | undefined {
    const row = this.#selectUse.get(digest);
    return row && Math.max(Number(row.last_used), this.#uses.get(digest) ?? 0);
  }

  /** what of the stored content is pinned, bytes on disk */
  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  /** @returns whether the content is stored, and eviction may not take it */
  isPinned(digest: Digest): boolean {
    return this.#selectPinned.get(digest) !== undefined;
  }

  /** The pins of the digest have changed. To be called in the transaction that changes them. */
  pinsChanged(digest: Digest): void {
    const row = this.#updatePinned.get(digest);
    if (row) this.#pinnedBytes += (row.is_pinned === 1 ? 1 : -1) * sizeOnDisk(Number(row.size));
  }

  /** What was changed in a transaction did not come to pass. */
  recount(): void {
    this.#pinnedBytes = readPinnedBytes(this.#database);
  }

  /** Notes content that is on disk now. */
  add(content: StoredContent, nowMs: number): void {
    const before = this.#pinnedBytesOf(content.digest);
    this.#insert.run(content.digest, content.size, nowMs);
    this.#pinnedBytes += this.#pinnedBytesOf(content.digest) - before;
  }

  /** Notes a use; cheap, for the path of every hit. */
  use(digest: Digest, nowMs: number): void {
    this.#uses.delete(digest); // to the end: the oldest are at the front
    this.#uses.set(digest, nowMs);
    if (this.#uses.size < ContentIndex.#MAX_PENDING_USES) return;
    try {
      this.flushUses();
    } catch {
      // A catalog that cannot be written must not fail a read. The next flush tells; the oldest use is given up.
      const [oldest] = this.#uses.keys();
      if (oldest !== undefined) this.#uses.delete(oldest);
    }
  }

  /** Writes the pending last uses in one transaction. */
  flushUses(): void {
    if (this.#uses.size === 0) return;
    transact(this.#database, () => {
      for (const [digest, at] of this.#uses) this.#touch.run(at, digest);
    });
    this.#uses.clear();
  }

  /** @returns up to `limit` entries that are not pinned, the least recently used first */
  leastRecentlyUsed(limit: number): StoredContent[] {
    try {
      this.flushUses();
    } catch {
      // On a full disk nothing can be noted before something is evicted: the order is then a little old.
    }
    return this.#oldest.all(limit).map(toContent);
  }

  /** Forgets content and everything that is known only through it. */
  remove(digest: Digest): void {
    this.#uses.delete(digest);
    const pinnedBytes = this.#pinnedBytesOf(digest);
    transact(this.#database, () => {
      for (const statement of this.#removals) statement.run(digest);
    });
    this.#pinnedBytes -= pinnedBytes;
  }

  /**
   * All stored content whose digest starts with `prefix`, for reconciling one directory at a time.
   * @param prefix `sha256:ab`
   */
  withPrefix(prefix: string): StoredContent[] {
    // ':' sorts before every hex digit and 'g' after it: the range is exactly the digests below the prefix.
    return this.#database
      .prepare('SELECT digest, size FROM blobs WHERE digest >= ? AND digest < ?')
      .all(prefix, `${prefix}g`)
      .map(toContent);
  }

  /** @returns how much content there is, as `sizeOnDisk` (SQL over `size`) sums it up */
  totals(blockBytes: number): { objects: number; bytes: number } {
    const row = this.#database
      .prepare('SELECT count(*) AS objects, coalesce(sum((size + ?1 - 1) / ?1 * ?1), 0) AS bytes FROM blobs')
      .get(BigInt(blockBytes)); // a number is bound as REAL, and the division would not be one of integers
    return { objects: Number(row?.objects ?? 0), bytes: Number(row?.bytes ?? 0) };
  }

  #pinnedBytesOf(digest: Digest): number {
    const row = this.#selectPinned.get(digest);
    return row ? sizeOnDisk(Number(row.size)) : 0;
  }
}

function readPinnedBytes(database: DatabaseSync): number {
  const row = database
    .prepare('SELECT coalesce(sum((size + ?1 - 1) / ?1 * ?1), 0) AS bytes FROM blobs WHERE is_pinned = 1')
    .get(BigInt(sizeOnDisk(1)));
  return Number(row?.bytes);
}

function toContent(row: Record<string, unknown>): StoredContent {
  return { digest: row.digest as Digest, size: Number(row.size) };
}
