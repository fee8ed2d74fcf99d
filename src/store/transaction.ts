/** Owns transactions of the catalog: all of a change comes to pass, or nothing. */
import type { DatabaseSync } from 'node:sqlite';

/**
 * @param durability `FULL` for what is acknowledged: it survives power loss too, and waits for the disk
 * @throws what `work` and SQLite throw; nothing has changed then
 */
export function transact(
  database: DatabaseSync,
  work: () => void,
  durability: 'NORMAL' | 'FULL' = 'NORMAL',
): void {
  if (durability === 'FULL') database.exec('PRAGMA synchronous = FULL');
  try {
    database.exec('BEGIN');
    work();
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK'); // SQLite has done so itself where the disk is full
    throw error;
  } finally {
    if (durability === 'FULL') database.exec('PRAGMA synchronous = NORMAL');
  }
}
