/** Owns the partial files that no fill is working on: found at start, or left by a fill that could not end. */
import { readFileSync, renameSync, unlinkSync } from 'node:fs';
import { readdir, readFile, rename, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestOfPartial, isMissing, type Layout, syncDirectory, writeDurably } from './layout.ts';
import type { Ledger } from './ledger.ts';

/** Where a fill's content comes from: enough to go on with it when no client asks. */
export interface FillOrigin {
  upstream: string;
  repository: string;
}

export interface Partial {
  digest: Digest;
  origin: FillOrigin;
}

/** What is noted beside a partial file. */
interface PartialNote extends FillOrigin {
  /** bytes that are surely on disk */
  syncedBytes: number;
  /** of the machine when it was written: while it has not started anew, all that was written is there */
  bootId: string | undefined;
}

/** More than this many are not kept: the oldest go. */
const MAX_PARTIALS = 1000;
/** Less than this is fetched again rather than resumed. */
const MIN_WORTH_BYTES = 1024 * 1024;

/** A digest is here, or in a running fill, never in both: `take` hands it over. The ledger counts them as used. */
export class Partials {
  readonly #layout: Layout;
  readonly #ledger: Ledger;
  /** the oldest first */
  readonly #kept = new Map<Digest, { bytes: number; atMs: number }>();
  readonly #now: () => number;
  readonly #bootId: () => string | undefined;
  #sequence = 0;

  /** @param bootId of the machine's present run, undefined where it has no name */
  constructor(layout: Layout, ledger: Ledger, now: () => number, bootId = readBootId) {
    this.#now = now;
    this.#bootId = bootId;
    this.#layout = layout;
    this.#ledger = ledger;
  }

  /** Finds what an earlier process left, and removes what is of no use. @returns the partials worth resuming */
  async find(): Promise<Partial[]> {
    const found: Partial[] = [];
    const entries = (await readdir(this.#layout.fills, { withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    const names = new Set(entries.map(({ name }) => name));
    const partials: { digest: Digest; size: number; mtimeMs: number }[] = [];
    for (const name of names) {
      const digest = digestOfPartial(name);
      if (digest) partials.push({ digest, ...(await stat(this.#layout.partial(digest))) });
      else if (!isNoteOf(names, name)) await unlinkIfThere(join(this.#layout.fills, name)); // by who ends late, too
    }
    for (const { digest, size, mtimeMs } of partials.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      const note = await this.#readNote(digest);
      const bytes = note ? this.#surelyThere(note, size) : 0;
      if (bytes < size) await truncate(this.#layout.partial(digest), bytes);
      if (!(await this.keep(digest, bytes, mtimeMs)) || !note) continue;
      found.push({ digest, origin: { upstream: note.upstream, repository: note.repository } });
    }
    return found;
  }

  /** Takes over a partial file of `bytes`. @returns whether it was worth keeping; it is removed where not */
  async keep(digest: Digest, bytes: number, atMs = this.#now()): Promise<boolean> {
    if (bytes < MIN_WORTH_BYTES) {
      await this.#unlink(digest);
      return false;
    }
    this.#kept.set(digest, { bytes, atMs });
    this.#ledger.found(bytes);
    if (this.#kept.size > MAX_PARTIALS) await this.discardOldest(Number.POSITIVE_INFINITY);
    return true;
  }

  /** Whether a partial file waits for someone to go on with it. */
  has(digest: Digest): boolean {
    return this.#kept.has(digest);
  }

  /** @returns those that wait, and where they came from, the oldest first */
  async waiting(): Promise<Partial[]> {
    const waiting: Partial[] = [];
    for (const digest of [...this.#kept.keys()]) {
      const note = await this.#readNote(digest);
      if (note) waiting.push({ digest, origin: { upstream: note.upstream, repository: note.repository } });
    }
    return waiting;
  }

  /** Hands a partial file to a fill. @returns its length, 0 where there is none */
  take(digest: Digest): number {
    const bytes = this.#kept.get(digest)?.bytes ?? 0;
    this.#kept.delete(digest);
    this.#ledger.lost(bytes);
    return bytes;
  }

  /** Makes room: gives up the oldest. @param beforeMs one that is younger stays. @returns the bytes that were freed */
  async discardOldest(beforeMs: number): Promise<number> {
    const [oldest] = this.#kept;
    if (!oldest || oldest[1].atMs > beforeMs) return 0;
    const [digest] = oldest;
    const bytes = this.take(digest);
    this.#ledger.found(bytes);
    this.#ledger.deleting(bytes);
    try {
      await unlinkIfThere(this.#moveAway(digest));
    } finally {
      this.#ledger.deleted(bytes);
    }
    return bytes;
  }

  /** Removes the file of a fill whose content is of no use. */
  async discard(digest: Digest): Promise<void> {
    await this.#unlink(digest);
  }

  /**
   * Notes where a fill comes from, and how much of it is surely on disk. Without it a partial file of an earlier
   * process is worth nothing: nobody knows whether the machine has stopped meanwhile.
   */
  async note(digest: Digest, origin: FillOrigin, syncedBytes: number): Promise<void> {
    const note: PartialNote = { ...origin, syncedBytes, bootId: this.#bootId() };
    const path = this.#layout.partialNote(digest);
    const body = Buffer.from(JSON.stringify(note));
    // The word that nothing is synced need not be synced, and must be there before a kill: a partial file without
    // a note is worth nothing.
    try {
      if (syncedBytes > 0) await writeDurably(`${path}.new`, body);
      else await writeFile(`${path}.new`, body, { mode: 0o640 });
      await rename(`${path}.new`, path);
    } catch (error) {
      await unlinkIfThere(`${path}.new`).catch(() => undefined); // the first failure says more
      throw error;
    }
    if (syncedBytes > 0) await syncDirectory(this.#layout.fills);
  }

  /** Moves the finished file to `target`. */
  async promote(digest: Digest, target: string): Promise<void> {
    await rename(this.#layout.partial(digest), target);
    await unlinkIfThere(this.#layout.partialNote(digest));
  }

  /** Before anything is awaited: a fill that begins now makes a new file, and a new note, of the same names. */
  #moveAway(digest: Digest): string {
    const old = `${this.#layout.partial(digest)}.old-${this.#sequence++}`;
    ifThere(() => unlinkSync(this.#layout.partialNote(digest)));
    ifThere(() => renameSync(this.#layout.partial(digest), old));
    return old;
  }

  async #unlink(digest: Digest): Promise<void> {
    await unlinkIfThere(this.#layout.partial(digest));
    await unlinkIfThere(this.#layout.partialNote(digest));
  }

  /** After power loss a file may be as long as it was, and hold zeros where nothing had reached the disk. */
  #surelyThere(note: PartialNote, size: number): number {
    const bootId = this.#bootId();
    const hasRunOn = bootId !== undefined && note.bootId === bootId;
    return hasRunOn ? size : Math.min(size, note.syncedBytes);
  }

  async #readNote(digest: Digest): Promise<PartialNote | undefined> {
    try {
      const note: unknown = JSON.parse(await readFile(this.#layout.partialNote(digest), 'utf8'));
      if (typeof note !== 'object' || note === null || !('upstream' in note) || !('repository' in note))
        return undefined;
      return {
        upstream: String(note.upstream),
        repository: String(note.repository),
        syncedBytes: 'syncedBytes' in note && typeof note.syncedBytes === 'number' ? note.syncedBytes : 0,
        bootId: 'bootId' in note && typeof note.bootId === 'string' ? note.bootId : undefined,
      };
    } catch {
      return undefined; // see `note`
    }
  }
}

/** Linux names each run of the machine. */
function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined; // elsewhere only what was synced is believed after a restart
  }
}

function isNoteOf(names: ReadonlySet<string>, name: string): boolean {
  const partial = name.replace(/\.json$/, '');
  return partial !== name && names.has(partial) && digestOfPartial(partial) !== undefined;
}

function ifThere(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
