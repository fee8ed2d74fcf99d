/** Owns what is read of a client's files. */
import { UneditableError } from './edits/file-edit.ts';

/** The files of a machine, of which the paths are absolute there. */
export interface ClientFiles {
  /** @returns the text without a byte order mark; undefined where there is no file @throws UneditableError */
  read(path: string): string | undefined;
  /** @returns the names in a directory, sorted; undefined where there is none */
  list(path: string): string[] | undefined;
}

/** @returns where the copy of a file from before hubcap is kept. No client reads a file of that name. */
export function backupOf(path: string): string {
  return `${path}.before-hubcap`;
}

/** @throws what `act` throws, an UneditableError with the path of the file that it is about */
export function about<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    // Of parsers that call themselves: no client has a file that is meant so.
    if (error instanceof RangeError || error instanceof ReferenceError)
      throw new UneditableError('it is nested too deeply', undefined, path);
    if (!(error instanceof UneditableError) || error.path !== undefined) throw error;
    throw error.in(path);
  }
}
