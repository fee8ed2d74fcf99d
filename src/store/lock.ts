/** Owns the exclusive use of a data directory. */
import { DatabaseSync } from 'node:sqlite';

/** Another process uses the data directory. */
export class DirectoryInUseError extends Error {
  constructor(directory: string) {
    super(`${directory} is in use by another hubcap`);
    this.name = 'DirectoryInUseError';
  }
}

/**
 * Takes the lock; the operating system gives it back when the process ends, however it ends. A socket cannot do
 * this: between finding a dead one and replacing it, two daemons that start at once both win. SQLite brings the
 * only file lock that Node has.
 * @param file an otherwise empty file in the data directory
 * @returns releases the lock
 * @throws DirectoryInUseError; what the file system says where the file cannot be made
 */
export function lockDirectory(directory: string, file: string): () => void {
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) {
      throw new DirectoryInUseError(directory);
    }
    throw error;
  }
  return () => database.close();
}

const SQLITE_BUSY = 5;
