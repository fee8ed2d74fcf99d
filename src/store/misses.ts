/** Owns the miss list: what clients asked for and could not be given, how often, and why. */
import type { DatabaseSync } from 'node:sqlite';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseTag, type Repository } from '../oci/reference.ts';
import { referrersTag } from '../oci/referrer.ts';
import { type Finding, findImage, isImageHere, prepareFinding } from './belonging.ts';
import type { Catalog, RepositoryName } from './catalog.ts';
import { transact } from './transaction.ts';

/** What was asked for; `manifest` stands for a blob too where its image is known: the image is what is missing. */
export type MissKind = 'manifest' | 'blob' | 'tags' | 'referrers';

export interface Miss {
  upstream: string;
  repository: Repository;
  /** a tag or a digest; empty for `tags` */
  reference: string;
  kind: MissKind;
  /** a word or two of the caller's */
  reason: string;
}

/** One line of the list. */
export interface MissRow extends Miss {
  /** `linux/arm64/v8`, where it was one platform of a known index that was asked for */
  platform: string | undefined;
  count: number;
  firstAtMs: number;
  lastAtMs: number;
}

export interface MissesOptions {
  database: DatabaseSync;
  catalog: Catalog;
  /** lines that are kept; those that nobody has asked for longest go first */
  maxLines?: number;
}

type Noted = Miss & { count: number; firstAtMs: number; lastAtMs: number };

const MAX_LINES = 10_000;
/** Different things that are kept in memory until they are written. */
const MAX_PENDING = 10_000;
const PAGE = 500;

/**
 * Noting costs a look into a map: what is noted is written in batches (`flush`), so a killed process loses what was
 * noted since the last one. Neither memory nor table grow with what strangers ask for.
 */
export class Misses {
  readonly #options: Required<MissesOptions>;
  readonly #statements: ReturnType<typeof prepareAll>;
  readonly #finding: Finding;
  /** in the order of their last request */
  readonly #pending = new Map<string, Noted>();
  #lines: number;
  #dropped = 0;

  constructor(options: MissesOptions) {
    this.#options = { maxLines: MAX_LINES, ...options };
    this.#statements = prepareAll(options.database);
    this.#finding = prepareFinding(options.database);
    this.#lines = this.#countLines();
  }

  /** how many lines the list has, as of the last write */
  get lines(): number {
    return this.#lines;
  }

  /** Notes that somebody was refused; cheap, for the path of a request. */
  note(miss: Miss, nowMs: number): void {
    const key = `${miss.kind} ${miss.upstream}/${miss.repository} ${miss.reference}`;
    const known = this.#pending.get(key);
    this.#pending.delete(key); // to the end: who was asked for longest ago is at the front
    const { count = 0, firstAtMs = nowMs } = known ?? {};
    this.#pending.set(key, { ...miss, count: count + 1, firstAtMs, lastAtMs: nowMs });
    if (this.#pending.size <= MAX_PENDING) return;
    const [oldest = ''] = this.#pending.keys();
    this.#pending.delete(oldest);
    this.#dropped += 1;
  }

  /** @returns how many different things were not noted since the last call, because there were too many at once */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /**
   * Writes what was noted, in one transaction; 10,000 lines can take half a second.
   * @param atMost lines, those that were asked for longest ago
   * @returns whether there are more to write
   * @throws what SQLite does; then it is kept for the next time
   */
  flush(atMost = MAX_PENDING): boolean {
    const written = [...this.#pending].slice(0, atMost);
    if (written.length === 0) return false;
    transact(this.#options.database, () => {
      for (const [, noted] of written) this.#write(noted);
      this.#statements.trim.run(this.#options.maxLines);
    });
    for (const [key] of written) this.#pending.delete(key);
    this.#lines = this.#countLines();
    return this.#pending.size > 0;
  }

  /**
   * What is missing, the last asked for first; what is here by now is taken off the list on the way. Read a page at a
   * time: no statement stays open while the caller does something else.
   */
  *list(): Generator<MissRow> {
    try {
      this.flush();
    } catch {
      // A disk that refuses keeps nobody from reading what is there; the next flush tells.
    }
    let after: (string | number)[] = [Number.MAX_SAFE_INTEGER, '', '', '', '', ''];
    for (;;) {
      const rows = this.#statements.page.all(...after, PAGE).map(toRow);
      const end = rows.at(-1);
      const here = new Set(rows.filter((row) => isHere(row, this.#options.catalog)));
      this.#forget(here);
      yield* rows.filter((row) => !here.has(row));
      if (!end || rows.length < PAGE) return;
      after = [end.lastAtMs, ...keyOf(end)];
    }
  }

  /** Empties the list. @returns how many lines it had */
  clear(): number {
    this.flush();
    const cleared = this.#lines;
    this.#statements.clear.run();
    this.#lines = 0;
    return cleared;
  }

  #forget(rows: ReadonlySet<MissRow>): void {
    if (rows.size === 0) return;
    try {
      transact(this.#options.database, () => {
        for (const row of rows) this.#statements.remove.run(...keyOf(row));
      });
    } catch {
      // They are left out all the same, and looked at again when the list is read next.
    }
    this.#lines = this.#countLines();
  }

  #write(noted: Noted): void {
    const { upstream, repository: name, reason, count, firstAtMs, lastAtMs } = noted;
    const { reference, kind, platform } = this.#named(noted, { upstream, name });
    this.#statements.upsert.run(
      ...[upstream, name, reference, kind, platform ?? '', reason, count, firstAtMs, lastAtMs],
    );
  }

  /** A digest alone tells nobody which image to fetch. */
  #named({ reference, kind }: Noted, repository: RepositoryName) {
    const digest = kind === 'tags' || kind === 'referrers' ? undefined : parseDigest(reference);
    const image = digest && findImage(this.#finding, repository, digest);
    if (!image) return { reference, kind, platform: undefined };
    const isLone = image.tag === undefined && image.digest === digest;
    return {
      reference: image.tag ?? image.digest,
      kind: isLone ? kind : ('manifest' as const),
      platform: image.platform,
    };
  }

  #countLines(): number {
    return Number(this.#statements.count.get()?.lines);
  }
}

/** Whether what a line names can be had here by now, whoever brought it. */
function isHere(
  { upstream, repository: name, reference, kind, platform }: MissRow,
  catalog: Catalog,
): boolean {
  const repository = { upstream, name };
  const [digest, tag] = [parseDigest(reference), parseTag(reference)];
  if (kind === 'tags') return catalog.tags(repository, '', 1).length > 0;
  if (kind === 'blob') return digest !== undefined && catalog.holds(repository, digest);
  if (kind === 'referrers') return digest !== undefined && hasReferrers(repository, digest, catalog);
  if (digest) return isImageHere(catalog, repository, { digest }, platform);
  return tag !== undefined && isImageHere(catalog, repository, { tag }, platform);
}

/** That there are none is an answer too, but noted nowhere: such a line goes when the list is cleared. */
function hasReferrers(repository: RepositoryName, digest: Digest, catalog: Catalog): boolean {
  if (catalog.referrers(repository, digest, '', 1).length > 0) return true;
  const tag = parseTag(referrersTag(digest));
  const index = tag && catalog.tag(repository, tag)?.digest;
  return index !== undefined && catalog.holds(repository, index);
}

function keyOf({ upstream, repository, reference, kind, platform }: MissRow): string[] {
  return [upstream, repository, reference, kind, platform ?? ''];
}

function toRow(row: Record<string, unknown>): MissRow {
  return {
    upstream: String(row.upstream),
    repository: String(row.repository) as Repository,
    reference: String(row.reference),
    kind: String(row.kind) as MissKind,
    platform: row.platform === '' ? undefined : String(row.platform),
    reason: String(row.reason),
    count: Number(row.count),
    firstAtMs: Number(row.first_at),
    lastAtMs: Number(row.last_at),
  };
}

function prepareAll(database: DatabaseSync) {
  const key = 'upstream, repository, reference, kind, platform';
  return {
    upsert: database.prepare(
      `INSERT INTO misses (${key}, reason, count, first_at, last_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (${key}) DO UPDATE SET reason = excluded.reason, count = count + excluded.count,
         last_at = max(last_at, excluded.last_at)`,
    ),
    trim: database.prepare(
      `DELETE FROM misses WHERE (${key}) IN (
         SELECT ${key} FROM misses ORDER BY last_at LIMIT max(0, (SELECT count(*) FROM misses) - ?))`,
    ),
    page: database.prepare(
      `SELECT * FROM misses WHERE (last_at, ${key}) < (?, ?, ?, ?, ?, ?)
       ORDER BY last_at DESC, upstream DESC, repository DESC, reference DESC, kind DESC, platform DESC LIMIT ?`,
    ),
    remove: database.prepare(`DELETE FROM misses WHERE (${key}) = (?, ?, ?, ?, ?)`),
    clear: database.prepare('DELETE FROM misses'),
    count: database.prepare('SELECT count(*) AS lines FROM misses'),
  };
}
