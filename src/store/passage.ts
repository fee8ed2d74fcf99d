/** Owns one download that passes by the store: a window of it in memory, for the readers that are there at once. */
import { algorithmOf, type Digest, digestOfHash, hashFor } from '../oci/digest.ts';
import type { BlobReader } from './blob-reader.ts';
import { Crowd, type Member } from './crowd.ts';
import { DigestMismatchError, isWrongContent, OversizeError } from './errors.ts';
import { Pace } from './pace.ts';
import { PassingWindow, type WindowStart } from './passing-window.ts';
import { releasedBelow } from './tail.ts';
import { WakeUp } from './wake-up.ts';

/** Where a passage begins: with what is in memory already, and how it goes on. */
export interface PassageStart {
  digest: Digest;
  /** of the whole content in bytes, undefined where upstream does not say */
  size: number | undefined;
  window: WindowStart;
  /** what follows the window; undefined: it is asked for when a reader gets there */
  chunks: AsyncIterator<Buffer> | undefined;
  /** ends the connection of `chunks`, whether they have been read or not; left out where they have */
  drop?: () => void;
  /** ends whatever is asked for */
  abort: AbortController;
}

export type PassageEnd = 'passed' | 'left' | { error: unknown };

export interface PassageSurroundings {
  /** asks upstream for the content from an offset on, over another connection where the last brought what is wrong */
  open: (from: number, signal: AbortSignal, isAfresh: boolean) => Promise<AsyncIterator<Buffer>>;
  /** whether a window of so many bytes may grow */
  mayGrow: (bytes: number) => boolean;
  /** told of each change of what the window holds */
  holds: (moreBytes: number) => void;
  /** makes the passage of those who are left behind; undefined where there are too many */
  split: (start: PassageStart) => Passage | undefined;
  discarded: (wrong: unknown) => void;
  /** nobody reads it any more, or it has come to its end */
  ended: (passage: Passage, end: PassageEnd) => void;
  /** resolves when those who keep pace have waited long enough for who does not, or when the signal is aborted */
  patience: (signal: AbortSignal) => Promise<unknown>;
  now: () => number;
}

/** An upstream connection that nobody draws from for so long is given back; it is opened again where it stopped. */
const PARK_AFTER_MS = 2_000;

/**
 * Goes at the pace of its fastest reader. One that falls back by more than the window goes on in a passage of its
 * own, from where this one's window began: nobody waits for it for long, and it loses nothing.
 */
export class Passage {
  readonly digest: Digest;
  readonly size: number | undefined;
  readonly #around: PassageSurroundings;
  readonly #window: PassingWindow;
  readonly #crowd = new Crowd<Passage>();
  readonly #abort: AbortController;
  readonly #pace: Pace;
  #chunks: AsyncIterator<Buffer> | undefined;
  #drop: (() => void) | undefined;
  #isPumping = false;
  #parking: NodeJS.Timeout | undefined;
  #roomMade: (() => void) | undefined;
  #ended: 'proven' | { error: unknown } | undefined;
  #mayAskAgain: boolean;
  #wasWrong = false;

  constructor({ digest, size, window, chunks, drop, abort }: PassageStart, around: PassageSurroundings) {
    this.digest = digest;
    this.size = size;
    this.#around = around;
    this.#pace = new Pace(around.now);
    this.#window = new PassingWindow(window);
    this.#chunks = chunks;
    this.#drop = drop;
    this.#abort = abort;
    this.#mayAskAgain = window.start === 0;
    around.holds(this.#window.bytes);
    this.#parkLater();
  }

  /** whether it can still be read from its first byte */
  get isWhole(): boolean {
    return this.#window.start === 0 && (this.#ended === undefined || this.#ended === 'proven');
  }

  get readers(): number {
    return this.#crowd.size;
  }

  /** @returns ms until the byte at `position` can be read, as things go */
  waitMs(position: number): number {
    if (this.#wasWrong) return 0; // what upstream says of parts of it cannot be proven at all
    return this.#pace.waitMs(position - this.#window.end);
  }

  /** @param position where it begins; not before the window */
  reader(position = 0): BlobReader {
    const own: Member<Passage> = {
      passage: this,
      position,
      isOpen: true,
      hasRead: false,
      more: new WakeUp(),
    };
    this.#crowd.add(own);
    return {
      size: this.size,
      skipTo: (start) => {
        own.position = Math.max(own.position, start);
      },
      read: async (buffer, at) => {
        if (at < own.position) throw new Error(`content that passes by cannot be read again from ${at}`);
        own.position = at;
        for (;;) {
          if (!own.isOpen) throw new Error('the reader was closed');
          const bytes = own.passage.#take(own, buffer);
          if (bytes !== undefined) return bytes;
          const more = own.more.wait();
          own.passage.#pump();
          await more;
        }
      },
      close: () => {
        if (!own.isOpen) return;
        own.isOpen = false;
        own.more.wake();
        own.passage.#leave(own);
      },
    };
  }

  /** @returns bytes copied; undefined where it has to wait */
  #take(own: Member<Passage>, buffer: Buffer): number | undefined {
    const { end } = this.#window;
    const released = this.#ended === 'proven' ? end : releasedBelow(end, this.size);
    if (own.position < released) {
      const bytes = this.#window.copy(buffer, own.position, Math.min(buffer.length, released - own.position));
      own.position += bytes;
      own.hasRead ||= bytes > 0;
      this.#roomMade?.();
      return bytes;
    }
    if (this.#ended === 'proven') return 0;
    if (this.#ended) throw this.#ended.error;
    return undefined;
  }

  /** Brings content until the window is full and nobody waits for more. */
  #pump(): void {
    if (this.#isPumping || this.#ended !== undefined) return;
    this.#isPumping = true;
    clearTimeout(this.#parking);
    this.#bringAll()
      .catch((error: unknown) => this.#end({ error }))
      .finally(() => {
        this.#isPumping = false;
        this.#crowd.wakeAll(); // who began to wait meanwhile looks again
        if (this.#ended === undefined) this.#parkLater();
      });
  }

  async #bringAll(): Promise<void> {
    while (this.#ended === undefined && (await this.#makeRoom())) {
      try {
        await this.#bringMore();
      } catch (error) {
        if (!isWrongContent(error) || !this.#mayAskAgain) throw error;
        await this.#askAgain(error);
      }
      this.#crowd.wakeAll();
    }
  }

  async #bringMore(): Promise<void> {
    // Parked behind the last byte: upstream has no more to say.
    const isAll = this.#chunks === undefined && this.#window.end === this.size && this.size > 0;
    if (!isAll) this.#chunks ??= await this.#around.open(this.#window.end, this.#abort.signal, false);
    const { done, value: chunk } = (await this.#chunks?.next()) ?? { done: true, value: undefined };
    if (done) {
      const found = digestOfHash(algorithmOf(this.digest), this.#window.hashAtEnd());
      if (found !== this.digest) throw new DigestMismatchError(this.digest, found, this.#window.end);
      this.#end('proven');
      return;
    }
    this.#pace.arrived(chunk.length);
    this.#window.push(chunk);
    this.#around.holds(chunk.length);
    if (this.size !== undefined && this.#window.end > this.size)
      throw new OversizeError(this.digest, this.size);
  }

  /** Wrong content of which nobody has seen a byte is asked for once more. @throws `wrong` where somebody has */
  async #askAgain(wrong: unknown): Promise<void> {
    this.#mayAskAgain = false;
    this.#wasWrong = true;
    this.#around.discarded(wrong);
    if (this.#window.start > 0 || this.#crowd.hasRead) throw wrong;
    // Before anything is awaited: who reads meanwhile must not see what is wrong.
    this.#around.holds(-this.#window.bytes);
    this.#window.restart(hashFor(this.digest));
    const before = this.#chunks;
    this.#chunks = undefined;
    await before?.return?.();
    this.#chunks = await this.#around.open(0, this.#abort.signal, true);
  }

  /**
   * Drops what everyone has read; waits a moment for who is slow; then leaves the slow behind.
   * @returns false where the window is full and nobody waits for more
   */
  async #makeRoom(): Promise<boolean> {
    for (let isPatient = true; ; isPatient = false) {
      this.#around.holds(-this.#window.dropBefore(this.#crowd.slowest));
      if (this.#around.mayGrow(this.#window.bytes)) return true;
      if (!this.#crowd.isWaiting) return false;
      if (isPatient || !this.#leaveBehind()) await this.#someRoom();
    }
  }

  /** Resolves when the slowest reader has freed some of the window, or when that has taken too long. */
  async #someRoom(): Promise<void> {
    const enough = new AbortController();
    this.#roomMade = () => {
      if (this.#around.mayGrow(this.#window.bytesFrom(this.#crowd.slowest))) enough.abort();
    };
    await this.#around.patience(AbortSignal.any([enough.signal, this.#abort.signal]));
    this.#roomMade = undefined;
    this.#abort.signal.throwIfAborted();
  }

  /** @returns whether anyone was left behind */
  #leaveBehind(): boolean {
    const { start, end } = this.#window;
    const slow = this.#crowd.behind((start + end) / 2);
    if (slow.length === 0) return false;
    const { digest, size } = this;
    const window = this.#window.snapshot();
    const next = this.#around.split({
      digest,
      size,
      window,
      chunks: undefined,
      abort: new AbortController(),
    });
    if (!next) return false;
    for (const member of slow) {
      this.#crowd.remove(member);
      next.#crowd.add(member);
      member.passage = next;
    }
    return true;
  }

  /** Slow and stalled readers hold memory, and no connection that others need. */
  #parkLater(): void {
    this.#parking = setTimeout(() => {
      this.#chunks?.return?.().catch(() => undefined); // given up: how it ends is of no interest
      this.#chunks = undefined;
      this.#drop?.();
    }, PARK_AFTER_MS).unref();
  }

  #leave(own: Member<Passage>): void {
    this.#crowd.remove(own);
    this.#roomMade?.();
    if (this.#crowd.size > 0) return;
    const error = new Error('nobody reads it any more');
    this.#abort.abort(error);
    this.#drop?.();
    clearTimeout(this.#parking);
    this.#around.holds(-this.#window.bytes);
    this.#window.restart(hashFor(this.digest));
    if (this.#ended === undefined) this.#around.ended(this, 'left');
    this.#ended = { error };
  }

  #end(ended: 'proven' | { error: unknown }): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    if (ended !== 'proven') {
      this.#abort.abort(ended.error);
      this.#drop?.();
    }
    this.#around.ended(this, ended === 'proven' ? 'passed' : ended);
  }
}
