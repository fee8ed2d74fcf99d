/** Owns the pins' questions to SQLite, prepared once. What the tables hold: see `migrations.ts`. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';

export type PinStatements = ReturnType<typeof preparePins>;

/** @throws what SQLite says where the tables are not there */
export function preparePins(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  const order = 'ORDER BY p.upstream, p.repository, p.reference, p.origin';
  return {
    upsertPin: prepare(
      `INSERT INTO pins (upstream, repository, reference, origin, platforms, with_referrers, digest, pinned_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (upstream, repository, reference, origin) DO UPDATE SET platforms = excluded.platforms,
         with_referrers = excluded.with_referrers, digest = excluded.digest`,
    ),
    selectPin: prepare(
      'SELECT * FROM pins WHERE upstream = ? AND repository = ? AND reference = ? AND origin = ?',
    ),
    selectPins: prepare(
      'SELECT * FROM pins WHERE upstream = ? AND repository = ? AND reference = ? ORDER BY origin',
    ),
    listPins: prepare(`SELECT * FROM pins p ${order}`),
    countPins: prepare('SELECT count(*) AS pins FROM pins'),
    deletePin: prepare('DELETE FROM pins WHERE id = ?'),
    listMoved: prepare(
      `SELECT p.* FROM pins p
         JOIN repositories r ON r.upstream = p.upstream AND r.name = p.repository
         JOIN tags t ON t.repository = r.id AND t.tag = p.reference
        WHERE t.digest <> p.digest ${order}`,
    ),
    selectMissing: prepare(
      `SELECT 1 FROM pinned c
        WHERE c.pin = ? AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = c.digest) LIMIT 1`,
    ),
    insertPinned: prepare(
      'INSERT INTO pinned (pin, root, digest, size) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    listPinned: prepare('SELECT DISTINCT digest FROM pinned WHERE pin = ?'),
    listHeldBy: prepare('SELECT digest FROM pinned WHERE pin = ? LIMIT ?'),
    deleteHeld: prepare('DELETE FROM pinned WHERE pin = ? AND root = ? AND digest = ?'),
    listHeld: prepare('SELECT DISTINCT digest FROM pinned WHERE pin < 0'),
    listContents: prepare(
      `SELECT c.digest, c.size FROM pins p JOIN pinned c ON c.pin = p.id
        WHERE p.upstream = ? AND p.repository = ? AND p.reference = ? AND p.origin = ? AND c.root = ?`,
    ),
    listOtherRoots: prepare('SELECT DISTINCT digest FROM pinned WHERE pin = ? AND root <> ?'),
    deletePinned: prepare('DELETE FROM pinned WHERE pin = ?'),
    deleteOtherRoots: prepare('DELETE FROM pinned WHERE pin = ? AND root <> ?'),
    deleteHolds: prepare('DELETE FROM pinned WHERE pin < 0'),
    selectNamed: prepare('SELECT size FROM pinned WHERE digest = ? LIMIT 1'),
    selectSize: prepare('SELECT max(size) AS size FROM pinned WHERE digest = ?'),
    sumPinned: prepare(
      `SELECT coalesce(sum((size + ?1 - 1) / ?1 * ?1), 0) AS bytes
         FROM (SELECT max(size) AS size FROM pinned GROUP BY digest)`,
    ),
  };
}
