/** Owns the catalog's tables, as the steps from each version to the next. */
import type { DatabaseSync } from 'node:sqlite';

/**
 * blobs     what is on disk and was proven (files are the truth; rows are reconciled with them after a start)
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

/**
 * misses    what clients asked for and could not be given; bounded by whoever writes it
 * subjects  which digest a stored manifest (a signature, an SBOM) refers to (image-spec, `subject`), empty for none;
 *           manifests that an earlier version stored have no row before somebody asks
 *
 * `public_at`: when upstream last gave something of the repository to somebody without credentials; 0 where it is
 *              known to be given to hubcap's credentials alone.
 */
const MISSES_AND_REFERRERS = `
ALTER TABLE repositories ADD COLUMN public_at INTEGER;
CREATE TABLE misses (
  upstream TEXT NOT NULL, repository TEXT NOT NULL, reference TEXT NOT NULL, kind TEXT NOT NULL, platform TEXT NOT NULL,
  reason TEXT NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  PRIMARY KEY (upstream, repository, reference, kind, platform)
) WITHOUT ROWID;
CREATE INDEX misses_by_last ON misses (last_at);
CREATE TABLE subjects (digest TEXT PRIMARY KEY, subject TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX subjects_by_subject ON subjects (subject);
CREATE INDEX repositories_by_path ON repositories (upstream || '/' || name);
`;

/**
 * pins    references whose closure eviction never takes, by who wants it: a person (`origin` empty), or the list of a
 *         schedule. `platforms`: `all`, or which of an index, with commas. `digest`: what it was when it was last whole
 * pinned  what belongs to a pin, stored or not: `root` is the digest whose closure it is in; while another takes its
 *         place there are two. Of a negative pin: held by a run that has not ended, and by nobody after a start
 *
 * `is_pinned` says whether something in `pinned` names the blob, so that eviction need not look.
 */
const PINS = `
CREATE TABLE pins (
  id INTEGER PRIMARY KEY, upstream TEXT NOT NULL, repository TEXT NOT NULL, reference TEXT NOT NULL, origin TEXT NOT NULL,
  platforms TEXT NOT NULL, with_referrers INTEGER NOT NULL, digest TEXT NOT NULL, pinned_at INTEGER NOT NULL,
  UNIQUE (upstream, repository, reference, origin)
);
CREATE TABLE pinned (
  pin INTEGER NOT NULL, root TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (pin, root, digest)
) WITHOUT ROWID;
CREATE INDEX pinned_by_digest ON pinned (digest, size);
ALTER TABLE blobs ADD COLUMN is_pinned INTEGER NOT NULL DEFAULT 0;
DROP INDEX blobs_by_use;
CREATE INDEX blobs_by_use ON blobs (last_used) WHERE is_pinned = 0;
`;

/** One step: from the version that is its place in the list to the next. What was released is never changed. */
export type Migration = string;

export const MIGRATIONS: readonly Migration[] = [SCHEMA, MISSES_AND_REFERRERS, PINS];

/** @returns the version of a catalog, 0 where it is new */
export function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.user_version);
}

/**
 * Brings a catalog to the newest version, one version at a time, each in a transaction: whatever ends this, the
 * catalog is at one version or the next, and the next start goes on.
 */
export function migrate(database: DatabaseSync, migrations: readonly Migration[]): void {
  for (let version = versionOf(database); version < migrations.length; version++) {
    database.exec('BEGIN IMMEDIATE');
    try {
      database.exec(migrations[version] ?? '');
      database.exec(`PRAGMA user_version = ${version + 1}; COMMIT`);
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** @returns the names of the tables and indexes that a catalog has, in order */
export function tablesOf(database: DatabaseSync): string[] {
  return database
    .prepare(
      "SELECT name FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL ORDER BY name",
    )
    .all()
    .map(({ name }) => String(name));
}
