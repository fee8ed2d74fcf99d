/** Owns the copy of the pins beside the catalog: text, from which they are known again where the catalog is lost. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseRepository, type Repository } from '../oci/reference.ts';
import type { Catalog } from './catalog.ts';
import type { StoredContent } from './content-index.ts';
import { StorageError } from './errors.ts';
import type { Pin, Pins } from './pins.ts';

/** A pin as the copy has it. */
export interface SavedPin extends Pin {
  contents: StoredContent[];
  /** see `Catalog.publicAt`: who was served what is pinned */
  publicAtMs: number | undefined;
}

/** Pins that are written before others have their turn: some milliseconds. */
const PINS_AT_ONCE = 10;

/** One line of JSON for each pin. The whole file is replaced at once, a while after something has changed. */
export class PinsCopy {
  readonly #path: string;
  readonly #pins: Pins;
  readonly #catalog: Catalog;
  /** `changes` of the pins that the file has; undefined where that is not known */
  #written: number | undefined;
  #isWriting = false;

  constructor(path: string, pins: Pins, catalog: Catalog) {
    this.#path = path;
    this.#pins = pins;
    this.#catalog = catalog;
    if (pins.count === 0 && !existsSync(path)) this.#written = pins.changes;
  }

  /** Writes it where something has changed, in steps that hold nobody up. @throws StorageError */
  async write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      const steps = this.#steps();
      while (!steps.next().done) await turn();
    } finally {
      this.#isWriting = false;
    }
  }

  /** The same without a turn in between, at the end. One that is being written comes to nothing. @throws StorageError */
  writeAtOnce(): void {
    const isUntouched = this.#written === undefined && this.#pins.changes === 0;
    if (isUntouched && existsSync(this.#path)) return; // by a command that has only looked
    for (const _ of this.#steps(`${this.#path}.last`));
  }

  *#steps(partial = `${this.#path}.new`): Generator<undefined> {
    const { changes } = this.#pins;
    if (changes === this.#written) return;
    try {
      const file = openSync(partial, 'w', 0o640);
      try {
        for (const [at, pin] of this.#pins.list().entries()) {
          writeSync(file, `${JSON.stringify(this.#save(pin))}\n`);
          if (at % PINS_AT_ONCE === PINS_AT_ONCE - 1) yield;
        }
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(partial, this.#path);
      this.#written = changes; // what has changed meanwhile is written the next time
    } catch (error) {
      throw new StorageError('copying the pins', error);
    }
  }

  #save(pin: Pin): z.input<typeof SAVED> {
    const { repository, digest, ...rest } = pin;
    const { upstream, name } = repository;
    const contents = this.#pins.contents(pin).map(({ digest, size }): [string, number] => [digest, size]);
    const publicAtMs = this.#catalog.publicAt(repository);
    return { ...rest, platforms: copyOf(pin.platforms), upstream, name, digest, contents, publicAtMs };
  }
}

/** The catalog is about to be made anew: what the copy says is to be restored, whatever ends the process before. */
export function markLost(path: string): void {
  if (existsSync(path)) renameSync(path, lostOf(path));
}

/**
 * Has the pins in the catalog again that were lost with another one.
 * @returns those whose images have no names yet, see `forgetLost`; and how many lines of the copy were damaged
 * @throws StorageError
 */
export function restoreLost(
  path: string,
  pins: Pins,
  catalog: Catalog,
): { pins: SavedPin[]; damaged: number } {
  let damaged = 0;
  if (existsSync(lostOf(path))) {
    const lost = readPinsCopy(lostOf(path));
    damaged = lost.damaged;
    for (const { repository, digest, publicAtMs } of lost.pins) {
      // Who may be served is known before anything can be.
      const image = { repository, tag: undefined, digest, mediaType: '', size: 0, contents: [] };
      catalog.adopt([image], 0, publicAtMs);
    }
    pins.restore(lost.pins);
    renameSync(lostOf(path), unnamedOf(path)); // restored once: what is unpinned from now on does not come back
  }
  return { pins: readPinsCopy(unnamedOf(path)).pins, damaged };
}

/** The images have their names again, as far as they can. */
export function forgetLost(path: string): void {
  rmSync(unnamedOf(path), { force: true });
}

const lostOf = (path: string): string => `${path}.lost`;
const unnamedOf = (path: string): string => `${path}.unnamed`;

/** @returns the pins of a copy, and how many of its lines are damaged; none where there is no copy */
function readPinsCopy(path: string): { pins: SavedPin[]; damaged: number } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return { pins: [], damaged: existsSync(path) ? 1 : 0 }; // it is what is left: what it does not say is lost
  }
  const lines = text.split('\n').filter((line) => line !== '');
  const pins = lines.map(parseLine).filter((pin) => pin !== undefined);
  return { pins, damaged: lines.length - pins.length };
}

const digest = z.string().refine((text) => parseDigest(text) !== undefined);
const SAVED = z.object({
  upstream: z.string(),
  name: z.string().refine((text) => parseRepository(text) !== undefined),
  reference: z.string(),
  origin: z.string(),
  platforms: z.union([z.literal('all'), z.array(z.string())]),
  withReferrers: z.boolean(),
  digest,
  pinnedAtMs: z.number(),
  contents: z.array(z.tuple([digest, z.number().int().nonnegative()])),
  publicAtMs: z.number().optional(),
});

function parseLine(line: string): SavedPin | undefined {
  let document: unknown;
  try {
    document = JSON.parse(line);
  } catch {
    return undefined; // counted by the caller
  }
  const { data } = SAVED.safeParse(document);
  if (!data) return undefined;
  const { upstream, name, digest, contents, publicAtMs, ...rest } = data;
  return {
    ...rest,
    repository: { upstream, name: name as Repository },
    digest: digest as Digest,
    contents: contents.map(([digest, size]) => ({ digest: digest as Digest, size })),
    publicAtMs,
  };
}

function copyOf(platforms: Pin['platforms']): 'all' | string[] {
  return platforms === 'all' ? platforms : [...platforms];
}
