/** Owns what upstreams' lists are known to be: asked for page by page, remembered for a while, bounded. */
import { LRUCache } from 'lru-cache';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { cannotSay, upstreamStatusOf } from './failures.ts';
import { ListWalk, type ListWalkOptions } from './list-walk.ts';

/** One list of one upstream. */
export interface ListSource<E> extends Pick<ListWalkOptions<E>, 'host' | 'keyOf' | 'sizeOf' | 'fetch'> {
  /** names it among all lists of all upstreams */
  key: string;
  /** how long it is what upstream said */
  ttlMs: number;
  /** how long upstream may take where something is known */
  confirmMs: number;
  /** whether the caller knows something without upstream */
  hasOther: boolean;
  /** @returns upstream's query for what comes after an entry, undefined where it can only begin at the beginning */
  queryAfter: (last: string) => string | undefined;
  /** upstream's query for the beginning */
  query: string;
}

export interface ListRequest {
  /** after which entry; empty: from the beginning */
  last: string;
  limit: number;
  maxBytes: number;
}

export interface ListAnswer<E> {
  entries: E[];
  /** the entry after which to go on, undefined at the end */
  next: string | undefined;
  outcome: Outcome;
  /** what upstream answered, where the list is stale */
  upstreamStatus?: number | undefined;
}

interface Begun<E> {
  walk: ListWalk<E>;
  outcome: Outcome;
}

const MAX_MEMORY_BYTES = 32 * 1024 * 1024;
/** Of one list: one that is walked, one that was whole, and where clients go on. */
const MAX_WALKS = 4;
/** Who pages on does so in the list in which it began, so long after that was begun. */
const PAGING_MS = 600_000;
/** After upstream could not say, what is known is served so long before it is asked again. */
const ASK_AGAIN_AFTER_MS = 10_000;
const MAX_RESTING = 10_000;
/** An answer is made of no more of upstream's pages than this; the client is told where to go on. */
const MAX_PAGES = 100;
/** After that no page is begun for an answer; with the last one it comes before clients give up (30 s). */
const BEGIN_PAGES_FOR_MS = 10_000;
const PAGE_DEADLINE_MS = 12_000;

export class UpstreamLists<E> {
  readonly #now: () => number;
  readonly #walks = new LRUCache<string, readonly ListWalk<E>[]>({
    maxSize: MAX_MEMORY_BYTES,
    sizeCalculation: (walks) => walks.reduce((sum, { bytes }) => sum + bytes, 0),
  });
  readonly #starting = new SingleFlight<ListWalk<E> | undefined>();
  readonly #resting = new LRUCache<string, { error: unknown; untilMs: number }>({ max: MAX_RESTING });

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * @returns a page of the list, stale from memory where upstream cannot say; undefined where it has no such list
   * @throws UpstreamError
   */
  async ask(source: ListSource<E>, request: ListRequest): Promise<ListAnswer<E> | undefined> {
    const { key, hasOther } = source;
    const held = this.#held(source, request);
    if (held) return held;
    const known = this.recall(key, request);
    const resting = this.#resting.get(key);
    const isResting = resting !== undefined && this.#now() < resting.untilMs;
    if (isResting && (known || hasOther)) return stale(known, resting.error);
    const isKnown = known !== undefined || hasOther;
    try {
      return await this.#collect(source, request, isKnown ? source.confirmMs : PAGE_DEADLINE_MS);
    } catch (error) {
      if (!isKnown || !cannotSay(error)) throw error;
      // Offline is a switch: what it was turned off for is asked for at once.
      const isSwitch = error instanceof UpstreamError && error.reason === 'offline';
      if (!isSwitch) this.#resting.set(key, { error, untilMs: this.#now() + ASK_AGAIN_AFTER_MS });
      return stale(known, error);
    }
  }

  /**
   * What is remembered, however old; where a list is not whole, going on is for upstream to answer.
   * @returns undefined where nothing is remembered of it
   */
  recall(key: string, request: ListRequest): ListAnswer<E> | undefined {
    const { last } = request;
    const walks = (this.#walks.get(key) ?? []).filter((walk) => walk.positionAfter(last) !== undefined);
    const best = walks.find(({ isWhole }) => isWhole) ?? walks[0];
    const answer = best && this.#answer(best, request, 'stale');
    return answer && (answer.entries.length > 0 || best.isWhole) ? answer : undefined;
  }

  /** @returns whether all that is asked for is remembered, and as young as upstream's word holds */
  isFresh(source: Pick<ListSource<E>, 'key' | 'ttlMs'>, request: ListRequest): boolean {
    return this.#held(source, request) !== undefined;
  }

  /** @returns the answer for which upstream need not be asked */
  #held(source: Pick<ListSource<E>, 'key' | 'ttlMs'>, request: ListRequest): ListAnswer<E> | undefined {
    const { last, limit } = request;
    const walk = this.#find(source.key, source.ttlMs, last);
    const position = walk?.positionAfter(last);
    const isEnough = walk && position !== undefined && (walk.isWhole || walk.length - position >= limit);
    return isEnough ? this.#answer(walk, request, 'hit') : undefined;
  }

  async #collect(
    source: ListSource<E>,
    request: ListRequest,
    deadlineMs: number,
  ): Promise<ListAnswer<E> | undefined> {
    const endMs = performance.now() + Math.min(deadlineMs, BEGIN_PAGES_FOR_MS);
    const begun = await this.#begin(source, request.last, deadlineMs);
    if (!begun) {
      this.#walks.delete(source.key);
      return undefined;
    }
    const { walk } = begun;
    let { outcome } = begun;
    for (let pages = 1; pages < MAX_PAGES && performance.now() < endMs; pages++) {
      const position = walk.positionAfter(request.last);
      const isEnough = position !== undefined && walk.length - position >= request.limit;
      if (isEnough || walk.isWhole || walk.isFull) break;
      const { joined } = await this.#advance(source, walk, deadlineMs);
      if (outcome !== 'miss') outcome = joined ? 'coalesced' : 'miss';
    }
    return this.#answer(walk, request, outcome);
  }

  /** @returns the walk to take from, with its first page; undefined where upstream has no such list */
  async #begin(source: ListSource<E>, last: string, deadlineMs: number): Promise<Begun<E> | undefined> {
    const known = this.#find(source.key, source.ttlMs, last);
    if (known && !isAtItsEnd(known, last)) return { walk: known, outcome: 'hit' };
    if (known) return await this.#start(source, last, () => known.continued(), deadlineMs);
    const first = last === '' ? undefined : this.#find(source.key, PAGING_MS, '');
    const query = last === '' ? undefined : source.queryAfter(last);
    if (query !== undefined && first?.isNamedByEntries !== false) {
      const later = await this.#startLater(source, last, query, deadlineMs);
      if (later) return later;
    }
    if (first) return { walk: first, outcome: 'hit' };
    return await this.#start(source, '', () => this.#walkFrom(source, '', source.query), deadlineMs);
  }

  /** @returns undefined where upstream cannot begin after an entry: then `last` is looked for from the beginning */
  async #startLater(
    source: ListSource<E>,
    last: string,
    query: string,
    deadlineMs: number,
  ): Promise<Begun<E> | undefined> {
    try {
      const begun = await this.#start(source, last, () => this.#walkFrom(source, last, query), deadlineMs);
      if (begun?.walk.isNamedByEntries) return begun;
      if (begun) this.#forget(source.key, begun.walk);
      return undefined;
    } catch (error) {
      if (error instanceof UpstreamError && error.reason === 'bad-answer') return undefined;
      throw error;
    }
  }

  #walkFrom(source: ListSource<E>, startsAfter: string, query: string): ListWalk<E> {
    return new ListWalk({ ...source, startsAfter, query, startedAtMs: this.#now() });
  }

  async #start(
    source: ListSource<E>,
    last: string,
    make: () => ListWalk<E>,
    deadlineMs: number,
  ): Promise<Begun<E> | undefined> {
    const { result, joined } = this.#starting.run(`${source.key} ${last}`, async () => {
      const walk = make();
      if (!(await walk.advance(deadlineMs)).isThere) return undefined;
      this.#keep(source.key, walk);
      return walk;
    });
    const walk = await result;
    return walk && { walk, outcome: joined ? 'coalesced' : 'miss' };
  }

  /** A walk whose next page upstream refuses is given up: the next who asks begins anew. */
  async #advance(source: ListSource<E>, walk: ListWalk<E>, deadlineMs: number): Promise<{ joined: boolean }> {
    try {
      const advanced = await walk.advance(deadlineMs);
      this.#keep(source.key, walk);
      return advanced;
    } catch (error) {
      if (error instanceof UpstreamError && error.reason === 'bad-answer') this.#forget(source.key, walk);
      throw error;
    }
  }

  #find(key: string, ttlMs: number, last: string): ListWalk<E> | undefined {
    const validMs = last === '' ? ttlMs : Math.max(ttlMs, PAGING_MS);
    const valid = (this.#walks.get(key) ?? []).filter((walk) => {
      const ageMs = this.#now() - walk.startedAtMs;
      return ageMs >= 0 && ageMs < validMs && walk.positionAfter(last) !== undefined;
    });
    return valid.find((walk) => !isAtItsEnd(walk, last)) ?? valid[0];
  }

  /** Noted again after each page: it has grown. */
  #keep(key: string, walk: ListWalk<E>): void {
    const others = (this.#walks.get(key) ?? []).filter((other) => other !== walk);
    const whole = others.find(({ isWhole }) => isWhole);
    const some = others.filter((other) => other !== whole).slice(0, MAX_WALKS - 2);
    this.#walks.set(key, whole ? [walk, ...some, whole] : [walk, ...some]);
  }

  #forget(key: string, walk: ListWalk<E>): void {
    const others = (this.#walks.get(key) ?? []).filter((other) => other !== walk);
    if (others.length > 0) this.#walks.set(key, others);
    else this.#walks.delete(key);
  }

  #answer(walk: ListWalk<E>, { last, limit, maxBytes }: ListRequest, outcome: Outcome): ListAnswer<E> {
    const position = walk.positionAfter(last);
    // `last` may come on a page that was not asked for yet: the client is told to ask again.
    if (position === undefined) return { entries: [], next: walk.isWhole ? undefined : last, outcome };
    const entries = walk.take(position, limit, maxBytes);
    const end = position + entries.length;
    const isEnd = end >= walk.length && walk.isWhole;
    return { entries, next: isEnd ? undefined : (walk.keyAt(end - 1) ?? last), outcome };
  }
}

function isAtItsEnd<E>(walk: ListWalk<E>, last: string): boolean {
  return walk.isFull && !walk.isWhole && walk.positionAfter(last) === walk.length;
}

function stale<E>(known: ListAnswer<E> | undefined, error: unknown): ListAnswer<E> {
  if (!known) throw error;
  return { ...known, outcome: 'stale', upstreamStatus: upstreamStatusOf(error) };
}
