/** Owns the catalog's tables and the opening of its file: created, migrated, or set aside when damaged. */
import { existsSync, renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/**
 * blobs     what is on disk (files are the truth; rows are reconciled with them after a start)
 * manifests which of the blobs are manifests, with the type they are served as
 * links     what a manifest names, in order
 * holdings  which repository was proven to hold which stored digest (design, rule 3)
 * tags      which tag was which digest, and when upstream last said so (ms since the epoch)
 *
 * All but `repositories` name stored digests only and go with them, so the store's budget bounds the catalog.
 */
const SCHEMA = `
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, last_used INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX blobs_by_use ON blobs (last_used);
CREATE TABLE manifests (digest TEXT PRIMARY KEY, media_type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE links (
  parent TEXT NOT NULL, position INTEGER NOT NULL, child TEXT NOT NULL, role TEXT NOT NULL, size INTEGER NOT NULL,
  is_foreign INTEGER NOT NULL, platform TEXT, PRIMARY KEY (parent, position)
) WITHOUT ROWID;
CREATE INDEX links_by_child ON links (child);
CREATE TABLE repositories (id INTEGER PRIMARY KEY, upstream TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (upstream, name));
CREATE TABLE holdings (
  repository INTEGER NOT NULL, digest TEXT NOT NULL, proven_at INTEGER NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX holdings_by_digest ON holdings (digest);
CREATE TABLE tags (
  repository INTEGER NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER,
  checked_at INTEGER NOT NULL, PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (digest);
`;
const VERSION = 1;

/** The catalog was written by a newer hubcap: nothing is touched. */
export class CatalogTooNewError extends Error {
  constructor(file: string, found: number) {
    super(
      `${file} has layout ${found}, this hubcap knows up to ${VERSION}: run the newer hubcap, or use another data directory`,
    );
    this.name = 'CatalogTooNewError';
  }
}

/**
 * Opens the catalog; a damaged one is renamed out of the way and an empty one takes its place (the store then
 * finds its files again).
 * @param file path of the SQLite file, or `:memory:`
 * @returns the connection, and where a damaged catalog was put if it was
 * @throws CatalogTooNewError; whatever the file system says when the file can't be created
 */
export function openCatalogFile(file: string): { database: DatabaseSync; setAside: string | undefined } {
  try {
    return { database: openAndMigrate(file), setAside: undefined };
  } catch (error) {
    if (!isDamage(error) || !existsSync(file)) throw error;
    const setAside = `${file}.damaged-${Date.now()}`;
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(file + suffix)) renameSync(file + suffix, setAside + suffix);
    }
    return { database: openAndMigrate(file), setAside };
  }
}

function openAndMigrate(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    const version = Number(database.prepare('PRAGMA user_version').get()?.user_version);
    if (version > VERSION) throw new CatalogTooNewError(file, version);
    // NORMAL in WAL: a commit survives the process (kill -9); what power loss takes is found again from the files.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000');
    if (version === 0) database.exec(`BEGIN; ${SCHEMA} PRAGMA user_version = ${VERSION}; COMMIT`);
    else if (takeCleanMark(database) === 'missing') refuseDamage(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** `application_id` of a catalog that was closed in order. */
const CLEAN_MARK = 0x68756263;

/** The catalog is closed in order after this: the next start need not read it all. */
export function markClean(database: DatabaseSync): void {
  database.exec(`PRAGMA application_id = ${CLEAN_MARK}`);
}

function takeCleanMark(database: DatabaseSync): 'found' | 'missing' {
  if (database.prepare('PRAGMA application_id').get()?.application_id !== CLEAN_MARK) return 'missing';
  database.exec('PRAGMA application_id = 0');
  return 'found';
}

class DamagedCatalogError extends Error {}

/** After an end that was none. Reads every page: 0.2 s for 200,000 blobs, seconds where the disk is cold. */
function refuseDamage(database: DatabaseSync): void {
  const verdict = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  if (verdict !== 'ok') throw new DamagedCatalogError(String(verdict));
  const tables = database.prepare(
    "SELECT count(*) AS n FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL",
  );
  if (tables.get()?.n !== SCHEMA.match(/^CREATE /gm)?.length)
    throw new DamagedCatalogError('tables are missing');
}

/** SQLITE_CORRUPT, SQLITE_NOTADB; SQLITE_ERROR where tables are there that the version denies. */
function isDamage(error: unknown): boolean {
  if (error instanceof DamagedCatalogError) return true;
  return error instanceof Error && 'errcode' in error && [1, 11, 26].includes(Number(error.errcode) & 0xff);
}
