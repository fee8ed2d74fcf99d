/** Owns the catalog's questions to SQLite, prepared once. What the tables hold: see `migrations.ts`. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';

export type CatalogStatements = ReturnType<typeof prepareCatalog>;

/** @throws what SQLite says where the tables are not there */
export function prepareCatalog(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    selectTag: prepare(
      'SELECT digest, media_type, size, checked_at FROM tags WHERE repository = ? AND tag = ?',
    ),
    upsertTag: prepare(
      `INSERT INTO tags (repository, tag, digest, media_type, size, checked_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM manifests WHERE digest = ?3)
       ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest, media_type = excluded.media_type,
         size = excluded.size, checked_at = excluded.checked_at`,
    ),
    deleteTag: prepare('DELETE FROM tags WHERE repository = ? AND tag = ?'),
    listTags: prepare('SELECT tag FROM tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?'),
    selectRepository: prepare('SELECT id FROM repositories WHERE upstream = ? AND name = ?'),
    insertRepository: prepare(
      'INSERT INTO repositories (upstream, name) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    listRepositories: prepare(
      `SELECT upstream || '/' || name AS path FROM repositories r WHERE path > ?
         AND EXISTS (SELECT 1 FROM holdings h WHERE h.repository = r.id) ORDER BY path LIMIT ?`,
    ),
    selectPublicAt: prepare('SELECT public_at FROM repositories WHERE id = ?'),
    updatePublicAt: prepare('UPDATE repositories SET public_at = ? WHERE id = ?'),
    insertPublicAt: prepare('UPDATE repositories SET public_at = coalesce(public_at, ?) WHERE id = ?'),
    listHolders: prepare(
      `SELECT r.upstream, r.name FROM holdings h JOIN repositories r ON r.id = h.repository WHERE h.digest = ? LIMIT ?`,
    ),
    countTagsOf: prepare('SELECT count(*) AS tags FROM tags WHERE digest = ?'),
    selectTagOf: prepare('SELECT 1 FROM tags WHERE repository = ? AND digest = ? LIMIT 1'),
    selectSubject: prepare('SELECT subject FROM subjects WHERE digest = ?'),
    listParents: prepare(
      'SELECT DISTINCT l.parent FROM links l JOIN blobs b ON b.digest = l.parent WHERE l.child = ? AND l.is_foreign = 0 LIMIT ?',
    ),
    selectHolding: prepare('SELECT proven_at FROM holdings WHERE repository = ? AND digest = ?'),
    deleteHolding: prepare('DELETE FROM holdings WHERE repository = ? AND digest = ?'),
    deleteTagsOf: prepare('DELETE FROM tags WHERE repository = ? AND digest = ?'),
    upsertHolding: prepare(
      `INSERT INTO holdings (repository, digest, proven_at)
       SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM blobs WHERE digest = ?2)
       ON CONFLICT (repository, digest) DO UPDATE SET proven_at = excluded.proven_at`,
    ),
    selectNamed: prepare(
      `SELECT max(h.proven_at) AS at FROM links l JOIN holdings h ON h.digest = l.parent AND h.repository = ?
       WHERE l.child = ? AND l.is_foreign = 0`,
    ),
    selectManifest: prepare('SELECT media_type FROM manifests WHERE digest = ?'),
    upsertManifest: prepare(
      'INSERT INTO manifests (digest, media_type) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING',
    ),
    upsertLink: prepare(
      `INSERT INTO links (parent, position, child, role, size, is_foreign, platform) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    ),
    upsertSubject: prepare(
      'INSERT INTO subjects (digest, subject) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING',
    ),
    listReferrers: prepare(
      `SELECT s.digest FROM subjects s JOIN holdings h ON h.digest = s.digest
       WHERE s.subject = ? AND h.repository = ? AND s.digest > ? ORDER BY s.digest LIMIT ?`,
    ),
    listWithoutSubject: prepare(
      `SELECT h.digest FROM holdings h JOIN manifests m ON m.digest = h.digest
       WHERE h.repository = ? AND NOT EXISTS (SELECT 1 FROM subjects s WHERE s.digest = h.digest) LIMIT ?`,
    ),
    selectWithoutSubject: prepare(
      `SELECT 1 FROM manifests WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM subjects WHERE digest = ?1)`,
    ),
    selectLinks: prepare(
      `SELECT l.child, l.role, l.size, l.platform, l.is_foreign, b.digest AS stored FROM links l LEFT JOIN blobs b ON b.digest = l.child
       WHERE l.parent = ? ORDER BY l.position`,
    ),
    pageRepositories: prepare(
      'SELECT id, upstream, name FROM repositories WHERE (upstream, name) > (?, ?) ORDER BY upstream, name LIMIT ?',
    ),
    pageTags: prepare(
      'SELECT tag, digest, media_type, checked_at FROM tags WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?',
    ),
    pageHoldings: prepare(
      `SELECT h.digest, m.media_type,
         m.digest IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.repository = h.repository AND t.digest = h.digest)
           AND NOT EXISTS (SELECT 1 FROM links l JOIN holdings p ON p.digest = l.parent
                            WHERE l.child = h.digest AND p.repository = h.repository) AS is_lone
        FROM holdings h LEFT JOIN manifests m ON m.digest = h.digest
       WHERE h.repository = ? AND h.digest > ? ORDER BY h.digest LIMIT ?`,
    ),
  };
}
