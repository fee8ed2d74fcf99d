/** Owns the files of a client below a root: read as a whole, replaced as a whole, nothing out of the root. */
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { Change } from './changes.ts';
import { backupOf, type ClientFiles } from './client-files.ts';
import { UneditableError } from './edits/file-edit.ts';
import { attempt, realPlaceOf, replace } from './replace-file.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const BYTE_ORDER_MARK = '\ufeff';

/** The file systems of a machine, or of an image of one, from `root`. */
export class RootFiles implements ClientFiles {
  readonly #root: string;

  /** @param root absolute */
  constructor(root: string) {
    this.#root = root;
  }

  /** @returns where a file of the client is on this machine; `..` in it ends at the root, as it does for the client */
  placeOf(path: string): string {
    return join(this.#root, join(sep, path));
  }

  read(path: string): string | undefined {
    const place = this.#follow(path);
    return place === undefined ? undefined : this.#textOf(path, this.#readBytes(path, place));
  }

  list(path: string): string[] | undefined {
    const place = this.placeOf(path);
    this.#refuseOutside(path, realPlaceOf(place));
    return attempt(place, 'read', () => readdirSync(place).sort());
  }

  /**
   * Makes a change, the copy from before it included. Another `setup`, or an editor, may write at the same time: the file
   * is what one of them made of it, as a whole, and what was not seen is not written over.
   * @throws FileError, or UneditableError where the file is not what the change is made for any more
   */
  apply(change: Change): void {
    const { path, backup } = change;
    const place = this.#follow(path) ?? this.placeOf(path);
    const copy = this.#follow(backupOf(path)) ?? this.placeOf(backupOf(path));
    const now = this.#readBytes(path, place);
    this.#refuseOther(change, now);
    const isNew = backup === 'make' && !existsSync(copy);
    if (backup === 'make' && now) replace(copy, now, place);
    try {
      this.#put(change, place, copy, now);
    } catch (error) {
      if (isNew) rmSync(copy, { force: true });
      throw error;
    }
    if (backup === 'remove') attempt(copy, 'removed', () => rmSync(copy));
  }

  #put(change: Change, place: string, copy: string, now: Buffer | undefined): void {
    const { path, kind, after } = change;
    const refuseOther = (): void => this.#refuseOther(change, this.#readBytes(path, place));
    if (kind === 'removed') {
      attempt(place, 'removed', () => rmSync(place));
      removeIfEmpty(dirname(place), path);
    } else if (kind === 'restored') {
      const bytes = this.#readBytes(path, copy);
      if (bytes === undefined || this.#textOf(path, bytes) !== after)
        throw new UneditableError('its copy from before was changed meanwhile', undefined, copy);
      replace(place, bytes, place, refuseOther);
    } else if (after !== undefined) {
      const mark = now?.toString('utf8', 0, 3) === BYTE_ORDER_MARK ? BYTE_ORDER_MARK : '';
      replace(place, Buffer.from(mark + after), place, refuseOther);
    }
  }

  #refuseOther({ path, before }: Change, now: Buffer | undefined): void {
    if (this.#textOf(path, now) !== before)
      throw new UneditableError('it was changed meanwhile: run this again', undefined, this.placeOf(path));
  }

  /** @returns the file that is meant, behind symbolic links; undefined where there is none */
  #follow(path: string): string | undefined {
    const place = this.placeOf(path);
    const link = attempt(place, 'read', () => lstatSync(place));
    const real = attempt(place, 'read', () => realpathSync(place));
    if (real === undefined) {
      if (link?.isSymbolicLink())
        throw new UneditableError('it is a symbolic link to nothing', undefined, place);
      this.#refuseOutside(path, realPlaceOf(dirname(place)));
      return undefined;
    }
    this.#refuseOutside(path, real);
    return real;
  }

  /** A link of another machine means a file of that machine, which is not the one of this. */
  #refuseOutside(path: string, real: string): void {
    const root = realpathSync(this.#root);
    if (root === sep || real === root || real.startsWith(root + sep)) return;
    const place = this.placeOf(path);
    throw new UneditableError(`it is a symbolic link out of ${this.#root}, to ${real}`, undefined, place);
  }

  #textOf(path: string, bytes: Buffer | undefined): string | undefined {
    if (bytes === undefined) return undefined;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes); // without its mark
    } catch {
      throw new UneditableError('it is no text in UTF-8', undefined, this.placeOf(path));
    }
  }

  #readBytes(path: string, place: string): Buffer | undefined {
    const stats = attempt(place, 'read', () => statSync(place));
    if (!stats) return undefined;
    if (!stats.isFile()) throw new UneditableError('it is no file', undefined, this.placeOf(path));
    if (stats.size > MAX_BYTES)
      throw new UneditableError('it is larger than 4 MiB', undefined, this.placeOf(path));
    return attempt(place, 'read', () => readFileSync(place));
  }
}

/** A directory of its own is gone with the `hosts.toml` in it. */
function removeIfEmpty(directory: string, path: string): void {
  if (!path.endsWith('/hosts.toml') || readdirSync(directory).length > 0) return;
  attempt(directory, 'removed', () => rmdirSync(directory));
}
