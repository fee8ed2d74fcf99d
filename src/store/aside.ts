/** Owns what was set aside: damaged and unknown files, kept for whoever wants to look, the first to make room. */
import { lstatSync, renameSync } from 'node:fs';
import { lstat, mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isMissing, type Layout } from './layout.ts';
import { type Ledger, sizeOnDisk } from './ledger.ts';

/** More than this many are not kept: the oldest go. */
const MAX_FILES = 1000;
/** A file name may have 255 bytes. */
const MAX_NAME_LENGTH = 160;

/** The ledger counts the files as used. */
export class Aside {
  readonly #layout: Layout;
  readonly #ledger: Ledger;
  readonly #now: () => number;
  /** bytes by name, the oldest first */
  readonly #kept = new Map<string, number>();
  #sequence = 0;

  constructor(layout: Layout, ledger: Ledger, now: () => number) {
    this.#layout = layout;
    this.#ledger = ledger;
    this.#now = now;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Finds what earlier processes set aside. */
  async find(): Promise<void> {
    const names = await readdir(this.#layout.aside);
    const whenOf = (name: string): number => Number.parseInt(name, 10) || 0;
    for (const name of names.sort((a, b) => whenOf(a) - whenOf(b))) {
      const found = await lstat(join(this.#layout.aside, name));
      if (found.isFile()) await this.#keep(name, found.size);
    }
  }

  /**
   * Moves a file out of the way.
   * @returns its bytes; undefined where there is none, or what is there is no file
   * @throws what the file system says where it cannot be moved
   */
  async take(path: string): Promise<number | undefined> {
    const name = this.#nameFor(path);
    const found = await lstat(path).catch(ignoreMissing);
    if (!found?.isFile()) return undefined;
    await mkdir(this.#layout.aside, { recursive: true, mode: 0o750 });
    await rename(path, join(this.#layout.aside, name));
    await this.#keep(name, found.size);
    return found.size;
  }

  /** The same within one turn of the event loop: nobody can begin to use the file between the look and the move. */
  takeAtOnce(path: string): number | undefined {
    const name = this.#nameFor(path);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) return undefined;
    renameSync(path, join(this.#layout.aside, name));
    this.#note(name, found.size);
    return found.size;
  }

  /** Makes room: gives up the oldest. @returns the bytes on disk that were freed, undefined where nothing is left */
  async discardOldest(): Promise<number | undefined> {
    const [oldest] = this.#kept;
    if (!oldest) return undefined;
    const [name, bytes] = oldest;
    this.#kept.delete(name);
    this.#ledger.lost(bytes);
    await unlink(join(this.#layout.aside, name)).catch(ignoreMissing);
    return sizeOnDisk(bytes);
  }

  #nameFor(path: string): string {
    this.#sequence += 1;
    return `${this.#now()}-${process.pid}-${this.#sequence}-${basename(path).slice(0, MAX_NAME_LENGTH)}`;
  }

  async #keep(name: string, bytes: number): Promise<void> {
    this.#note(name, bytes);
    while (this.#kept.size > MAX_FILES) await this.discardOldest();
  }

  #note(name: string, bytes: number): void {
    this.#kept.set(name, bytes);
    this.#ledger.found(bytes);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
  return undefined;
}
