/** Owns the opening of the catalog's file: created, migrated, or set aside when damaged. */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { MIGRATIONS, type Migration, migrate, tablesOf, versionOf } from './migrations.ts';

/** The catalog was written by a newer hubcap: nothing is touched. */
export class CatalogTooNewError extends Error {
  constructor(file: string, found: number, known: number) {
    super(
      `${file} has layout ${found}, this hubcap knows up to ${known}: run the newer hubcap, or use another data directory`,
    );
    this.name = 'CatalogTooNewError';
  }
}

/**
 * Opens the catalog; a damaged one is renamed out of the way and an empty one takes its place (the store then
 * finds its files again).
 * @param file path of the SQLite file, or `:memory:`
 * @param begins called before a catalog with nothing in it gets its tables
 * @returns the connection, and where a damaged catalog was put if it was
 * @throws CatalogTooNewError; whatever the file system says when the file can't be created
 */
export function openCatalogFile(
  file: string,
  migrations: readonly Migration[] = MIGRATIONS,
  begins: () => void = () => undefined,
): { database: DatabaseSync; setAside: string | undefined } {
  try {
    return { database: openAndMigrate(file, migrations, begins), setAside: undefined };
  } catch (error) {
    if (!(isDamage(error) || isDirectory(file)) || !existsSync(file)) throw error;
    const setAside = `${file}.damaged-${Date.now()}`;
    for (const suffix of ['', '-wal', '-shm']) {
      if (existsSync(file + suffix)) renameSync(file + suffix, setAside + suffix);
    }
    forgetOlder(file);
    return { database: openAndMigrate(file, migrations, begins), setAside };
  }
}

/** So many damaged catalogs are kept for whoever wants to look; no budget counts them. */
const MAX_DAMAGED = 3;

function forgetOlder(file: string): void {
  const prefix = `${basename(file)}.damaged-`;
  const setAside = readdirSync(dirname(file)).filter((name) => name.startsWith(prefix));
  const whens = [...new Set(setAside.map((name) => Number.parseInt(name.slice(prefix.length), 10)))];
  const kept = new Set(whens.sort((a, b) => b - a).slice(0, MAX_DAMAGED));
  for (const name of setAside) {
    if (kept.has(Number.parseInt(name.slice(prefix.length), 10))) continue;
    const path = join(dirname(file), name);
    if (!isDirectory(path)) rmSync(path, { force: true }); // what others made in our place is theirs
  }
}

function openAndMigrate(file: string, migrations: readonly Migration[], begins: () => void): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    const version = versionOf(database);
    if (version > migrations.length) throw new CatalogTooNewError(file, version, migrations.length);
    // NORMAL in WAL: a commit survives the process (kill -9); what power loss takes is found again from the files.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000');
    const isDoubtful = version > 0 && takeCleanMark(database) === 'missing';
    if (version === 0) begins();
    migrate(database, migrations);
    if (isDoubtful) refuseDamage(database, migrations);
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

/** Writes a catalog whose file was removed while it was open to its place again. A file that is there is left alone. */
export function putBack(database: DatabaseSync, file: string): void {
  if (!existsSync(file)) database.prepare('VACUUM INTO ?').run(file);
}

function takeCleanMark(database: DatabaseSync): 'found' | 'missing' {
  if (database.prepare('PRAGMA application_id').get()?.application_id !== CLEAN_MARK) return 'missing';
  database.exec('PRAGMA application_id = 0');
  return 'found';
}

class DamagedCatalogError extends Error {}

/** After an end that was none. Reads every page: 0.2 s for 200,000 blobs, seconds where the disk is cold. */
function refuseDamage(database: DatabaseSync, migrations: readonly Migration[]): void {
  const verdict = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  if (verdict !== 'ok') throw new DamagedCatalogError(String(verdict));
  const sample = new DatabaseSync(':memory:');
  migrate(sample, migrations);
  const isWhole = tablesOf(sample).join() === tablesOf(database).join();
  sample.close();
  if (!isWhole) throw new DamagedCatalogError('tables are missing');
}

/** SQLITE_CORRUPT, SQLITE_NOTADB; SQLITE_ERROR where tables are there that the version denies. */
function isDamage(error: unknown): boolean {
  if (error instanceof DamagedCatalogError) return true;
  return error instanceof Error && 'errcode' in error && [1, 11, 26].includes(Number(error.errcode) & 0xff);
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
