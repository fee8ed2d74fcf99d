/** Owns a little room that is given up when the disk is full at a start: SQLite cannot open a catalog without any. */
import { closeSync, existsSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';

/** For the shared-memory file of the write-ahead log (32 KiB), its first pages, and some rows. */
const BALLAST_BYTES = 256 * 1024;

/** Has the ballast there for the next start. A disk that is full now has no room for it. */
export function keepBallast(path: string): void {
  if (existsSync(path)) return;
  try {
    const file = openSync(path, 'wx', 0o640);
    try {
      writeSync(file, Buffer.alloc(BALLAST_BYTES, 1)); // a file of zeros may take no room
      fdatasyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    rmSync(path, { force: true }); // as above
  }
}

/**
 * Runs `work`, and once more without the ballast where the disk was full.
 * @throws what `work` throws
 */
export function withBallast<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!mayBeFull(error) || !existsSync(path)) throw error;
    rmSync(path, { force: true });
    return work();
  }
}

/** ENOSPC, or what SQLite makes of it: SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN. */
function mayBeFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && error.code === 'ENOSPC') return true;
  return 'errcode' in error && [10, 13, 14].includes(Number(error.errcode) & 0xff);
}
