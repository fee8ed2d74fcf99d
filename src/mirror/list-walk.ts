/** Owns one walk through a list of upstream's: each page is asked for once, each entry kept once, in upstream's order. */
import { UpstreamError } from '../upstream/errors.ts';

export interface ListPage<E> {
  entries: readonly E[];
  /** the query of upstream's next page, undefined on the last */
  next: string | undefined;
}

export interface ListWalkOptions<E> {
  /** the host that is asked, for errors */
  host: string;
  /** what tells entries apart, and what a client names to go on after */
  keyOf: (entry: E) => string;
  /** bytes, roughly */
  sizeOf: (entry: E) => number;
  /** @returns undefined for 404. @throws UpstreamError */
  fetch: (query: string, deadlineMs: number) => Promise<ListPage<E> | undefined>;
  /** upstream's query to begin with */
  query: string;
  /** the entry after which that query begins, empty for the beginning of the list */
  startsAfter: string;
  startedAtMs: number;
}

/** No repository of a person has more tags; another walk goes on where this one is full. */
const MAX_ENTRIES = 50_000;
const MAX_BYTES = 6 * 1024 * 1024;
/** What an entry costs beside itself, and a list without any (measured: 1.3 KiB with its name). */
const ENTRY_BYTES = 64;
const LIST_BYTES = 1536;
/** So many pages in a row that bring nothing new are a circle. */
const MAX_BARREN_PAGES = 3;

export class ListWalk<E> {
  readonly startedAtMs: number;
  readonly #options: ListWalkOptions<E>;
  readonly #entries: E[] = [];
  /** by key, where what comes after an entry begins */
  readonly #after = new Map<string, number>();
  #next: string | undefined;
  #isBegun = false;
  #barrenPages = 0;
  #bytes = LIST_BYTES;
  #advancing: Promise<boolean> | undefined;

  constructor(options: ListWalkOptions<E>) {
    this.#options = options;
    this.#next = options.query;
    this.startedAtMs = options.startedAtMs;
  }

  /** whether upstream has no more */
  get isWhole(): boolean {
    return this.#next === undefined;
  }

  /** whether it takes no more */
  get isFull(): boolean {
    return this.#entries.length >= MAX_ENTRIES || this.#bytes >= MAX_BYTES;
  }

  get length(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Whether upstream's next page is named by the last entry, as the specification has it: then it can be asked for
   * what comes after any entry. Others name it by something that only they can read.
   */
  get isNamedByEntries(): boolean {
    const last = this.keyAt(this.length - 1);
    if (this.#next === undefined || last === undefined) return this.#next === undefined;
    return new URLSearchParams(this.#next).get('last') === last;
  }

  /** @returns where what comes after `last` begins, undefined where this walk has not met `last` */
  positionAfter(last: string): number | undefined {
    if (last === this.#options.startsAfter) return 0;
    const position = this.#after.get(last);
    if (position !== undefined || !this.isWhole || this.#options.startsAfter !== '') return position;
    // What was deleted meanwhile has still a place in a list that is in order.
    const keys = this.#entries.map(this.#options.keyOf);
    const order = ORDERS.find((compare) => isInOrder(keys, compare));
    if (!order) return undefined;
    const next = keys.findIndex((key) => order(key, last) > 0);
    return next < 0 ? keys.length : next;
  }

  /** @returns what the entry is named by to go on after it, undefined where there is none */
  keyAt(position: number): string | undefined {
    const entry = this.#entries[position];
    return entry === undefined ? undefined : this.#options.keyOf(entry);
  }

  /** @returns up to `limit` entries and `maxBytes` bytes of them, but one at least */
  take(position: number, limit: number, maxBytes: number): E[] {
    let bytes = 0;
    const some = this.#entries.slice(position, position + limit);
    const end = some.findIndex((entry, at) => {
      bytes += this.#options.sizeOf(entry);
      return bytes > maxBytes && at > 0;
    });
    return end < 0 ? some : some.slice(0, end);
  }

  /**
   * Asks for one page more; all who want it wait for the same one.
   * @returns whether it was asked for by somebody else already; `isThere` is false where upstream has no such list
   * @throws UpstreamError
   */
  async advance(deadlineMs: number): Promise<{ joined: boolean; isThere: boolean }> {
    const joined = this.#advancing !== undefined;
    this.#advancing ??= this.#append(deadlineMs).finally(() => {
      this.#advancing = undefined;
    });
    return { joined, isThere: await this.#advancing };
  }

  /** @returns a walk that goes on where this one is full */
  continued(): ListWalk<E> {
    const startsAfter = this.keyAt(this.length - 1) ?? '';
    return new ListWalk({ ...this.#options, startsAfter, query: this.#next ?? '' });
  }

  async #append(deadlineMs: number): Promise<boolean> {
    const query = this.#next;
    if (query === undefined) return true;
    const { host, fetch } = this.#options;
    const page = await fetch(query, deadlineMs);
    if (!page && !this.#isBegun) return false;
    if (!page)
      throw new UpstreamError(`${host} does not know a page that it named`, { reason: 'bad-answer', host });
    const added = this.#add(this.#isBegun ? page.entries : this.#fromStart(page.entries));
    this.#isBegun = true;
    this.#barrenPages = added > 0 ? 0 : this.#barrenPages + 1;
    const isCircle = page.next === query || this.#barrenPages >= MAX_BARREN_PAGES;
    this.#next = isCircle ? undefined : page.next;
    return true;
  }

  #add(entries: readonly E[]): number {
    const before = this.#entries.length;
    for (const entry of entries) {
      const key = this.#options.keyOf(entry);
      if (this.#after.has(key)) continue;
      this.#after.set(key, this.#entries.push(entry));
      this.#bytes += this.#options.sizeOf(entry) + ENTRY_BYTES;
    }
    return this.#entries.length - before;
  }

  /** An upstream that knows no `last` (distribution 2) begins at the beginning: what is before is left out. */
  #fromStart(entries: readonly E[]): readonly E[] {
    const { keyOf, startsAfter } = this.#options;
    if (startsAfter === '') return entries;
    const keys = entries.map(keyOf);
    const met = keys.lastIndexOf(startsAfter);
    if (met >= 0) return entries.slice(met + 1);
    const order = ORDERS.find((compare) => isInOrder(keys, compare));
    // In an order that is none of these, and where all are on one side, upstream is believed to have begun right.
    const next = order ? keys.findIndex((key) => order(key, startsAfter) > 0) : 0;
    return next > 0 ? entries.slice(next) : entries;
  }
}

type Compare = (a: string, b: string) => number;

/** Registries sort by code (most), or without regard to case (GitLab): both are allowed. */
const ORDERS: readonly Compare[] = [byCode, (a, b) => byCode(a.toLowerCase(), b.toLowerCase())];

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isInOrder(keys: readonly string[], compare: Compare): boolean {
  return keys.every((key, at) => at === 0 || compare(keys[at - 1] ?? '', key) <= 0);
}
