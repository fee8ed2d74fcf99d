/** Owns looking through the images for the page: a search, an order, a part of the list; cheap however often it is asked. */
import { setImmediate as turn } from 'node:timers/promises';
import type { ImageRow } from '../store/catalog.ts';
import { describeImage, type ImageParts, type ImageStatus, referenceOf } from './status.ts';

export interface ImageQuery {
  /** words that the reference has, in whatever order and case */
  search: string;
  /** `name`: by reference; `used`: the last used first */
  sort: 'name' | 'used';
  offset: number;
  limit: number;
  /** whether the first names may be told before all are read: where nothing is searched for, in order of name */
  isQuick: boolean;
}

/** What is told at `/api/images`. */
export interface ImagePage {
  /** whether all names have been read; where not, the counts are of those that have, and more are to come */
  isCounted: boolean;
  /** of all images, and of those that match */
  total: number;
  matching: number;
  /** more are stored than are looked through here: `hubcap images` has them all */
  isTruncated: boolean;
  images: ImageStatus[];
}

interface Entry {
  reference: string;
  row: ImageRow;
  usedAtMs: number;
}

interface Snapshot {
  /** until when it is told, ms since the epoch */
  untilMs: number;
  entries: readonly Entry[];
  isTruncated: boolean;
}

interface Reading {
  /** what has been read so far, in order of name */
  entries: Entry[];
  snapshot: Promise<Snapshot>;
}

const MAX_ENTRIES = 20_000;
/** So long what was read is told, and so many times as long as reading it took. */
const MIN_KEPT_MS = 5_000;
const KEPT_TIMES = 20;
/** When nobody looks any more, the memory is given back. */
const FORGOTTEN_MS = 60_000;
/** Between two turns of everybody else. */
const SLICE = 50;

export interface ImageBrowserOptions extends ImageParts {
  now: () => number;
  maxEntries?: number;
}

/**
 * The names of all images are read every few seconds at most, some at a time; what there is of an image is looked up
 * for those that are told.
 */
export class ImageBrowser {
  readonly #options: Required<ImageBrowserOptions>;
  #snapshot: Snapshot | undefined;
  #reading: Reading | undefined;
  #forgetting: NodeJS.Timeout | undefined;

  constructor(options: ImageBrowserOptions) {
    this.#options = { maxEntries: MAX_ENTRIES, ...options };
  }

  /** @returns a part of the images that match */
  async page({ search, sort, offset, limit, isQuick }: ImageQuery): Promise<ImagePage> {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const isFirstNames = isQuick && sort === 'name' && words.length === 0;
    const early = isFirstNames ? await this.#firstNames(offset + limit) : undefined;
    const { entries, isTruncated } = early ?? (await this.#current());
    const matching = words.length === 0 ? [...entries] : entries.filter(hasAll(words));
    if (sort === 'used') matching.sort((a, b) => b.usedAtMs - a.usedAtMs);
    const images: ImageStatus[] = [];
    for (const { row } of matching.slice(offset, offset + limit)) {
      images.push(describeImage(row, this.#options));
      await turn();
    }
    const isCounted = early === undefined;
    return { isCounted, total: entries.length, matching: matching.length, isTruncated, images };
  }

  /** @returns so many names and some more; undefined where they can be had from all of them */
  async #firstNames(count: number): Promise<Omit<Snapshot, 'untilMs'> | undefined> {
    if (this.#snapshot) return undefined;
    const reading = this.#read();
    while (this.#reading === reading && reading.entries.length < count) await turn();
    return this.#reading === reading ? { entries: [...reading.entries], isTruncated: false } : undefined;
  }

  async #current(): Promise<Snapshot> {
    this.#keepForNow();
    if (this.#snapshot && this.#options.now() < this.#snapshot.untilMs) return this.#snapshot;
    return await this.#read().snapshot;
  }

  #keepForNow(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      this.#snapshot = undefined;
    }, FORGOTTEN_MS).unref();
  }

  /** Joins the reading that runs, or begins one. */
  #read(): Reading {
    if (this.#reading) return this.#reading;
    this.#keepForNow();
    const entries: Entry[] = [];
    const snapshot = this.#readInto(entries)
      .then((read) => {
        this.#snapshot = read;
        return read;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    snapshot.catch(() => undefined); // told to who waits for it: who asked first may have what it wanted
    this.#reading = { entries, snapshot };
    return this.#reading;
  }

  async #readInto(entries: Entry[]): Promise<Snapshot> {
    const { catalog, store, now, maxEntries } = this.#options;
    const beganAtMs = now();
    let isTruncated = false;
    for (const row of catalog.images()) {
      isTruncated = entries.length === maxEntries;
      if (isTruncated) break;
      entries.push({ reference: referenceOf(row), row, usedAtMs: store.lastUsedAtMs(row.digest) ?? 0 });
      if (entries.length % SLICE === 0) await turn();
    }
    const kept = Math.max(MIN_KEPT_MS, KEPT_TIMES * (now() - beganAtMs));
    return { untilMs: now() + kept, entries, isTruncated };
  }
}

/** @param words in lower case */
function hasAll(words: readonly string[]): (entry: Entry) => boolean {
  return ({ reference }) => {
    const text = reference.toLowerCase();
    return words.every((word) => text.includes(word));
  };
}
