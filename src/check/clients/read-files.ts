/** Owns reading the files of clients below a root: bounded, and never a failure. */
import { constants } from 'node:fs';
import { open, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientFile } from './mirror-use.ts';

const MAX_BYTES = 1024 * 1024;

/** A file that is there and is not read. */
export interface UnreadFile {
  path: string;
  /** in words that follow the path */
  reason: string;
}

export class ClientFiles {
  readonly #root: string;
  readonly unread: UnreadFile[] = [];

  /** @param root below which the paths of the clients are looked for */
  constructor(root: string) {
    this.#root = root;
  }

  /** whether it is this machine's own, and not another below a directory */
  get isMachine(): boolean {
    return this.#root === '/';
  }

  /** @param path as the client knows it. @returns undefined where there is none, or none that can be read */
  async read(path: string): Promise<ClientFile | undefined> {
    try {
      const place = this.#placeOf(path);
      if (await this.#isOutside(place)) return this.#leave(path, `is a symbolic link out of ${this.#root}`);
      // What is no file (a pipe) must not be waited for.
      const file = await open(place, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const found = await file.stat();
        if (!found.isFile()) return this.#leave(path, 'is no file');
        if (found.size > MAX_BYTES) return this.#leave(path, 'is larger than 1MiB');
        return { path, text: textOf(await file.readFile()) };
      } finally {
        await file.close();
      }
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      return this.#leave(
        path,
        code === 'EACCES' ? 'may not be read by this user: run this as root' : `cannot be read (${code})`,
      );
    }
  }

  /** @returns the names in a directory, in the order of their names; none where there is none */
  async list(path: string): Promise<string[]> {
    try {
      const place = this.#placeOf(path);
      return (await this.#isOutside(place)) ? [] : (await readdir(place)).sort();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (code === 'EACCES') this.#leave(path, 'may not be read by this user: run this as root');
      return [];
    }
  }

  /** @returns the files of a directory whose names end so, in the order of their names */
  async readAll(directory: string, ending: string): Promise<ClientFile[]> {
    const names = (await this.list(directory)).filter((name) => name.endsWith(ending));
    const files = await Promise.all(names.map((name) => this.read(join(directory, name))));
    return files.filter((file) => file !== undefined);
  }

  /** `..` in a path ends at the root, as it does for the client. */
  #placeOf(path: string): string {
    return join(this.#root, join('/', path));
  }

  /** A link of another machine means a file of that machine, which is not the one of this. */
  async #isOutside(place: string): Promise<boolean> {
    if (this.isMachine) return false;
    const [root, real] = await Promise.all([realpath(this.#root), realpath(place)]);
    return root !== '/' && real !== root && !real.startsWith(`${root}/`);
  }

  #leave(path: string, reason: string): undefined {
    this.unread.push({ path, reason });
    return undefined;
  }
}

/** Windows' tools write UTF-16 with a mark. The mark stays, to be told. */
function textOf(bytes: Buffer): string {
  const mark = bytes.subarray(0, 2).toString('hex');
  if (mark === 'fffe') return bytes.toString('utf16le');
  if (mark === 'feff')
    return Buffer.from(bytes.subarray(0, bytes.length & ~1))
      .swap16()
      .toString('utf16le');
  return bytes.toString('utf8');
}
