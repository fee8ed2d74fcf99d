/** Owns the files of a client below a root: read as a whole, replaced as a whole, never half written. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { Change } from './changes.ts';
import { backupOf, type ClientFiles } from './client-files.ts';
import { UneditableError } from './edits/file-edit.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const BYTE_ORDER_MARK = '\ufeff';
/** No client reads a file of that name. */
const PARTIAL = '.hubcap-partial';
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** Root alone may write most of these files. The message says what to do. */
export class PermissionError extends Error {
  constructor(path: string, doing: string, cause: unknown) {
    const isReadOnly = (cause as NodeJS.ErrnoException).code === 'EROFS';
    const why = isReadOnly ? 'the file system is read-only' : 'permission denied. Run this as root (sudo)';
    super(`${path} cannot be ${doing}: ${why}`, { cause });
    this.name = 'PermissionError';
  }
}

/** The file systems of a machine, or of an image of one, from `root`. */
export class RootFiles implements ClientFiles {
  readonly #root: string;

  /** @param root absolute */
  constructor(root: string) {
    this.#root = root;
  }

  /** @returns where a file of the client is on this machine */
  placeOf(path: string): string {
    return join(this.#root, path);
  }

  read(path: string): string | undefined {
    const place = this.#follow(path);
    const bytes = place === undefined ? undefined : this.#readBytes(path, place);
    if (bytes === undefined) return undefined;
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes); // without its mark
    } catch {
      throw new UneditableError('it is no text in UTF-8', undefined, this.placeOf(path));
    }
  }

  list(path: string): string[] | undefined {
    return attempt(this.placeOf(path), 'read', () => readdirSync(this.placeOf(path)).sort());
  }

  /** Makes a change, the copy from before it included. @throws PermissionError, or what the file system says */
  apply({ path, kind, after, backup }: Change): void {
    const place = this.#follow(path) ?? this.placeOf(path);
    const copy = this.#follow(backupOf(path)) ?? this.placeOf(backupOf(path));
    const now = this.#readBytes(path, place);
    if (backup === 'make' && now) replace(copy, now, place);
    if (kind === 'removed') {
      attempt(place, 'removed', () => rmSync(place));
      removeIfEmpty(dirname(place), path);
    } else if (kind === 'restored') {
      replace(place, this.#readBytes(path, copy) ?? Buffer.alloc(0), place);
    } else if (after !== undefined) {
      const mark = now?.toString('utf8', 0, 3) === BYTE_ORDER_MARK ? BYTE_ORDER_MARK : '';
      replace(place, Buffer.from(mark + after), place);
    }
    if (backup === 'remove') attempt(copy, 'removed', () => rmSync(copy));
  }

  /** @returns the file that is meant, behind symbolic links; undefined where there is none */
  #follow(path: string): string | undefined {
    const place = this.placeOf(path);
    const link = attempt(place, 'read', () => lstatSync(place));
    if (!link) return undefined;
    const real = attempt(place, 'read', () => realpathSync(place));
    if (real === undefined) throw new UneditableError('it is a symbolic link to nothing', undefined, place);
    const root = realpathSync(this.#root);
    if (root !== sep && !real.startsWith(root + sep))
      throw new UneditableError(`it is a symbolic link out of ${this.#root}, to ${real}`, undefined, place);
    return real;
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

/** @returns undefined where there is nothing of that name */
function attempt<T>(place: string, doing: string, act: () => T): T | undefined {
  try {
    return permitted(place, doing, act);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** @throws PermissionError where that is what is missing */
function permitted<T>(place: string, doing: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EACCES', 'EPERM', 'EROFS'].includes(code)) throw error;
    throw new PermissionError(place, doing, error);
  }
}

/** Writes beside the place and moves it there. Owner and mode are those of `like`, where that is there. */
function replace(place: string, bytes: Buffer, like: string): void {
  const stats = attempt(like, 'read', () => statSync(like));
  const partial = `${place}${PARTIAL}`;
  const act = (): void => {
    makeDirectories(dirname(place));
    rmSync(partial, { force: true }); // of a run that was killed
    writeWhole(partial, bytes, stats);
    renameSync(partial, place);
    const directory = openSync(dirname(place), 'r');
    fsyncSync(directory);
    closeSync(directory);
  };
  try {
    permitted(place, 'written', act);
  } finally {
    if (existsSync(partial)) rmSync(partial, { force: true });
  }
}

function writeWhole(path: string, bytes: Buffer, like: Stats | undefined): void {
  const file = openSync(path, 'wx', 0o600); // nobody reads a secret of it before it has its mode
  try {
    writeFileSync(file, bytes);
    if (like) fchownSync(file, like.uid, like.gid);
    fchmodSync(file, like ? like.mode & 0o7777 : FILE_MODE);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Others than root read these, podman of each user say: the umask of whoever runs this does not count. */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  mkdirSync(path);
  chmodSync(path, DIRECTORY_MODE);
}

/** A directory of its own is gone with the `hosts.toml` in it. */
function removeIfEmpty(directory: string, path: string): void {
  if (!path.endsWith('/hosts.toml') || readdirSync(directory).length > 0) return;
  attempt(directory, 'removed', () => rmdirSync(directory));
}
