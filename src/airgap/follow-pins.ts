/** Owns what becomes of pins when nobody asks: a tag that moved is followed, and what is gone is fetched again. */
import { LRUCache } from 'lru-cache';
import type { Pin } from '../store/pins.ts';
import type { AirgapParts } from './parts.ts';
import { pinnedName } from './pinning.ts';
import { prewarm } from './prewarm.ts';

/** What is told of pins that were looked after. */
export interface FollowObserver {
  /** a tag is pinned as what it is now, or what was gone is here again */
  followed(pin: Pin, now: Pin): void;
  /** it was not possible. What was pinned stays so. @param isNews whether it is the first time for this reason */
  failed(pin: Pin, message: string, isNews: boolean): void;
}

export interface PinFollowerOptions {
  parts: AirgapParts;
  /** calls `giveUp` whenever hubcap goes offline, until the returned function is called */
  whenOffline: (giveUp: () => void) => () => void;
  observer: FollowObserver;
}

const MOVED_INTERVAL_MS = 30_000;
/** Looks at all that is pinned. */
const INCOMPLETE_INTERVAL_MS = 5 * 60_000;
/** After a failure; doubles with each. */
const FIRST_PAUSE_MS = 60_000;
const MAX_PAUSE_MS = 3600_000;
/** More pins than that fail without a memory of it. */
const MAX_REMEMBERED = 10_000;

interface Failure {
  count: number;
  untilMs: number;
  message: string;
}

/**
 * Nothing runs by itself: `followDue` is to be called every second or so. One pin is looked after at a time. What it
 * was stays pinned until all of what it is now is here: one transaction changes the one for the other.
 */
export class PinFollower {
  readonly #options: PinFollowerOptions;
  readonly #failures = new LRUCache<string, Failure>({ max: MAX_REMEMBERED });
  #movedDueMs = 0;
  #incompleteDueMs = 0;
  #work: Promise<void> | undefined;

  constructor(options: PinFollowerOptions) {
    this.#options = options;
  }

  /**
   * Looks after the pins that need it, when it is time to. Where that goes on already, nothing more is begun.
   * @param signal ends it
   */
  followDue(signal: AbortSignal): Promise<void> {
    this.#work ??= this.#followDue(signal).finally(() => {
      this.#work = undefined;
    });
    return this.#work;
  }

  /** Resolves when nothing runs. */
  async settled(): Promise<void> {
    await this.#work?.catch(() => undefined); // told to who called followDue
  }

  async #followDue(signal: AbortSignal): Promise<void> {
    const { parts, whenOffline } = this.#options;
    if (parts.isOffline()) return; // due as soon as it is online again
    const due = await this.#due();
    if (due.length === 0) return;
    const stop = new AbortController();
    const hasEnded = whenOffline(() => stop.abort());
    const ends = AbortSignal.any([signal, stop.signal]);
    try {
      for (const pin of due) {
        if (ends.aborted) return;
        if (this.#current(pin)) await this.#follow(pin, ends);
      }
    } finally {
      hasEnded();
    }
  }

  async #due(): Promise<Pin[]> {
    const { pins, now } = this.#options.parts;
    const nowMs = now();
    const found = new Map<string, Pin>();
    const add = (some: readonly Pin[]): void => {
      for (const pin of some)
        if ((this.#failures.get(keyOf(pin))?.untilMs ?? 0) <= nowMs) found.set(keyOf(pin), pin);
    };
    if (nowMs >= this.#movedDueMs) {
      this.#movedDueMs = nowMs + MOVED_INTERVAL_MS;
      add(pins.moved());
    }
    if (nowMs >= this.#incompleteDueMs) {
      this.#incompleteDueMs = nowMs + INCOMPLETE_INTERVAL_MS;
      add(await pins.incomplete());
    }
    return [...found.values()];
  }

  async #follow(pin: Pin, signal: AbortSignal): Promise<void> {
    const { parts, observer } = this.#options;
    const message = await this.#fetch(pin, signal);
    if (signal.aborted) return;
    const current = this.#current(pin);
    if (!current) return; // unpinned meanwhile
    const isWhole = parts.pins
      .contents(current)
      .every(({ digest }) => parts.store.sizeOf(digest) !== undefined);
    const failure =
      message ?? (isWhole ? undefined : 'something that was pinned with it cannot be had any more');
    if (failure !== undefined) return this.#failed(pin, failure);
    this.#failures.delete(keyOf(pin));
    observer.followed(pin, current);
  }

  /** @returns why it failed, undefined where it did not */
  async #fetch(pin: Pin, signal: AbortSignal): Promise<string | undefined> {
    const { parts } = this.#options;
    const { platforms, withReferrers, origin } = pin;
    const request = {
      images: [{ reference: pinnedName(pin), platforms: undefined }],
      // What was an image for one platform may be an index by now: nobody has said which of it is wanted.
      platforms: platforms === 'all' || platforms.length === 0 ? ('all' as const) : [...platforms],
      isPinning: true,
      withReferrers,
      concurrency: 1,
      isDryRun: false,
      isPatient: false, // the others need not wait for its upstream
    };
    try {
      // Progress comes several times a second, so that an end is seen soon.
      for await (const event of prewarm(request, origin, parts, () => this.#current(pin) !== undefined)) {
        if (signal.aborted) return undefined;
        if (event.kind === 'failure') return event.message;
      }
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #failed(pin: Pin, message: string): void {
    const { parts, observer } = this.#options;
    const before = this.#failures.get(keyOf(pin));
    const count = (before?.count ?? 0) + 1;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (count - 1), MAX_PAUSE_MS);
    this.#failures.set(keyOf(pin), { count, untilMs: parts.now() + pauseMs, message });
    observer.failed(pin, message, before?.message !== message);
  }

  /** @returns the pin as it is now, undefined where it has been ended */
  #current({ repository, reference, origin }: Pin): Pin | undefined {
    return this.#options.parts.pins.of(repository, reference).find((pin) => pin.origin === origin);
  }
}

function keyOf({ repository: { upstream, name }, reference, origin }: Pin): string {
  return [upstream, name, reference, origin].join(' ');
}
