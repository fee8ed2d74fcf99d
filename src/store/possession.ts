/** Owns noticing that lock and catalog are no longer the files that lie in the data directory. */
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isMissing, type Layout } from './layout.ts';

/**
 * Who removes the directory, or puts another one in its place, takes the names from files that this process holds
 * open: it goes on with them, content is kept under the new names, but what it notes is gone when it ends.
 */
export class Possession {
  readonly #layout: Layout;
  readonly #held: ReadonlyMap<string, number>;

  /** The lock is held and the catalog is open. @throws what the file system says */
  constructor(layout: Layout) {
    this.#layout = layout;
    this.#held = new Map([layout.lock, layout.catalog].map((path) => [path, statSync(path).ino]));
  }

  /** @returns what happened and what to do about it; undefined while all is as it was */
  async lost(): Promise<string | undefined> {
    for (const [path, ino] of this.#held) {
      const there = await stat(path).catch(ignoreMissing);
      if (there?.ino === ino) continue;
      const what = there ? 'replaced' : 'removed';
      return `${path} was ${what} while hubcap ran: restart hubcap; until then content is cached, but tags and last uses may be lost and another hubcap could use ${this.#layout.directory}`;
    }
    return undefined;
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error) && !isNoDirectory(error)) throw error;
  return undefined;
}

function isNoDirectory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOTDIR';
}
