/** Owns the partial files that no fill is working on: found at start, or left by a fill that could not end. */
import { readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestOfPartial, isMissing, type Layout } from './layout.ts';
import type { Ledger } from './ledger.ts';

/** Where a fill's content comes from: enough to go on with it when no client asks. */
export interface FillOrigin {
  upstream: string;
  repository: string;
}

export interface Partial {
  digest: Digest;
  /** undefined where nothing is noted: it is resumed when someone asks */
  origin: FillOrigin | undefined;
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

  constructor(layout: Layout, ledger: Ledger, now: () => number) {
    this.#now = now;
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
      else if (!isNoteOf(names, name)) await unlink(join(this.#layout.fills, name));
    }
    for (const { digest, size, mtimeMs } of partials.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (await this.keep(digest, size, mtimeMs))
        found.push({ digest, origin: await this.#readNote(digest) });
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
    await this.#unlink(digest);
    return bytes;
  }

  /** Removes the file of a fill whose content is of no use. */
  async discard(digest: Digest): Promise<void> {
    await this.#unlink(digest);
  }

  /** Notes where a fill comes from. It is advice only: lost or damaged, the fill is resumed when someone asks. */
  async note(digest: Digest, origin: FillOrigin): Promise<void> {
    await writeFile(this.#layout.partialNote(digest), JSON.stringify(origin), { mode: 0o640 });
  }

  /** Moves the finished file to `target`. */
  async promote(digest: Digest, target: string): Promise<void> {
    await rename(this.#layout.partial(digest), target);
    await unlinkIfThere(this.#layout.partialNote(digest));
  }

  async #unlink(digest: Digest): Promise<void> {
    await unlinkIfThere(this.#layout.partial(digest));
    await unlinkIfThere(this.#layout.partialNote(digest));
  }

  async #readNote(digest: Digest): Promise<FillOrigin | undefined> {
    try {
      const note: unknown = JSON.parse(await readFile(this.#layout.partialNote(digest), 'utf8'));
      if (typeof note !== 'object' || note === null || !('upstream' in note) || !('repository' in note))
        return undefined;
      return { upstream: String(note.upstream), repository: String(note.repository) };
    } catch {
      return undefined; // see `note`
    }
  }
}

function isNoteOf(names: ReadonlySet<string>, name: string): boolean {
  const partial = name.replace(/\.json$/, '');
  return partial !== name && names.has(partial) && digestOfPartial(partial) !== undefined;
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
