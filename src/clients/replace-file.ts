/** Owns replacing one file as a whole: never half written, with its owner and mode, and in words where that fails. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** No client reads a file of that name. */
const PARTIAL = '.hubcap-partial';
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/** What the file system does not do. The message says what to do. */
export class FileError extends Error {
  constructor(path: string, doing: string, why: string, cause: unknown) {
    super(`${path} cannot be ${doing}: ${why}`, { cause });
    this.name = 'FileError';
  }
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'permission denied. Run this as root (sudo)',
  EPERM: 'permission denied. Run this as root (sudo)',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the file system is full',
  EDQUOT: 'the quota is used up',
  ELOOP: 'its symbolic links lead in a circle',
};

/** @returns undefined where there is nothing of that name */
export function attempt<T>(place: string, doing: string, act: () => T): T | undefined {
  try {
    return permitted(place, doing, act);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** @throws FileError with what is to be known, where that is known */
function permitted<T>(place: string, doing: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const why = WHY[(error as NodeJS.ErrnoException).code ?? ''];
    if (why === undefined) throw error;
    throw new FileError(place, doing, why, error);
  }
}

/** @returns the place without symbolic links, as far as it is there */
export function realPlaceOf(place: string): string {
  return (
    attempt(place, 'read', () => realpathSync(place)) ?? join(realPlaceOf(dirname(place)), basename(place))
  );
}

/**
 * Writes beside the place and moves it there. Owner and mode are those of `like`, where that is there.
 * @param refuse throws where it is not to be moved after all
 */
export function replace(
  place: string,
  bytes: Buffer,
  like: string,
  refuse: () => void = () => undefined,
): void {
  const stats = attempt(like, 'read', () => statSync(like));
  const partial = `${place}.${process.pid}${PARTIAL}`; // another's is not to be moved there half written
  const act = (): void => {
    makeDirectories(dirname(place));
    removeLeftBehind(place);
    writeWhole(partial, bytes, stats);
    refuse();
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

/** What runs that were killed have left. */
function removeLeftBehind(place: string): void {
  const name = basename(place);
  for (const other of readdirSync(dirname(place))) {
    if (!other.startsWith(`${name}.`) || !other.endsWith(PARTIAL)) continue;
    const pid = other.slice(name.length + 1, -PARTIAL.length);
    const isLeft = /^\d+$/.test(pid) && (Number(pid) === process.pid || !isRunning(pid));
    if (isLeft) rmSync(join(dirname(place), other), { force: true });
  }
}

/** Where that cannot be told, it may. */
function isRunning(pid: string): boolean {
  return existsSync(`/proc/${pid}`) || !existsSync('/proc/self');
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
