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
}

/** What is told at `/api/images`. */
export interface ImagePage {
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
  entries: Entry[];
  isTruncated: boolean;
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
  #reading: Promise<Snapshot> | undefined;
  #forgetting: NodeJS.Timeout | undefined;

  constructor(options: ImageBrowserOptions) {
    this.#options = { maxEntries: MAX_ENTRIES, ...options };
  }

  /** @returns a part of the images that match */
  async page({ search, sort, offset, limit }: ImageQuery): Promise<ImagePage> {
    const { entries, isTruncated } = await this.#current();
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = entries.filter(({ reference }) => {
      const text = reference.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (sort === 'used') matching.sort((a, b) => b.usedAtMs - a.usedAtMs);
    const images: ImageStatus[] = [];
    for (const { row } of matching.slice(offset, offset + limit)) {
      images.push(describeImage(row, this.#options));
      await turn();
    }
    return { total: entries.length, matching: matching.length, isTruncated, images };
  }

  async #current(): Promise<Snapshot> {
    this.#keepForNow();
    if (this.#snapshot && this.#options.now() < this.#snapshot.untilMs) return this.#snapshot;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    this.#snapshot = await this.#reading;
    return this.#snapshot;
  }

  #keepForNow(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      this.#snapshot = undefined;
    }, FORGOTTEN_MS).unref();
  }

  async #read(): Promise<Snapshot> {
    const { catalog, store, now, maxEntries } = this.#options;
    const beganAtMs = now();
    const entries: Entry[] = [];
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
