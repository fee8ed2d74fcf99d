/** Owns one download that passes by the store: a window of it in memory, for the readers that are there at once. */
import type { Hash } from 'node:crypto';
import { algorithmOf, type Digest, digestOfHash, hashFor } from '../oci/digest.ts';
import type { BlobReader } from './blob-reader.ts';
import { DigestMismatchError, isWrongContent, OversizeError } from './errors.ts';
import { Pace } from './pace.ts';
import { PassingWindow } from './passing-window.ts';
import { releasedBelow } from './tail.ts';

/** Where a passage begins: with what is in memory already, and how it goes on. */
export interface PassageStart {
  digest: Digest;
  /** of the whole content in bytes, undefined where upstream does not say */
  size: number | undefined;
  /** offset of the window's first byte */
  start: number;
  /** of all that lies before it */
  hash: Hash;
  window: readonly Buffer[];
  /** what follows the window; undefined: it is asked for when a reader gets there */
  chunks: AsyncIterator<Buffer> | undefined;
  /** ends the download */
  abort: AbortController;
}

export interface PassageSurroundings {
  /** asks upstream for the content from an offset on, from another connection where the last was wrong */
  open: (from: number, signal: AbortSignal, isAfresh: boolean) => Promise<AsyncIterator<Buffer>>;
  /** what the window may hold now, bytes; more than is held back */
  windowBytes: () => number;
  /** makes the passage of those who were left behind */
  split: (start: PassageStart) => Passage;
  discarded: (wrong: unknown) => void;
  /** nobody reads it any more, or it cannot go on */
  ended: (passage: Passage, result: 'passed' | 'left' | { error: unknown }) => void;
  /** how long those who keep pace wait for one who does not; resolves then, or when the signal is aborted */
  patience: (signal: AbortSignal) => Promise<unknown>;
  now: () => number;
}

interface Member {
  passage: Passage;
  /** offset that it reads next: what lies before is not kept for it */
  position: number;
  isOpen: boolean;
  hasRead: boolean;
  /** set while it waits for more */
  wake: (() => void) | undefined;
}

/**
 * Goes at the pace of its fastest reader. One that falls back by more than the window goes on in a passage of its
 * own, from where this one's window began: nobody waits for it for long, and it loses nothing.
 */
export class Passage {
  readonly digest: Digest;
  readonly size: number | undefined;
  readonly #around: PassageSurroundings;
  readonly #window: PassingWindow;
  readonly #members = new Set<Member>();
  readonly #abort: AbortController;
  readonly #pace: Pace;
  #chunks: AsyncIterator<Buffer> | undefined;
  #advancing: Promise<void> | undefined;
  #roomMade: (() => void) | undefined;
  #ended: 'proven' | { error: unknown } | undefined;
  #mayAskAgain: boolean;

  constructor(
    { digest, size, start, hash, window, chunks, abort }: PassageStart,
    around: PassageSurroundings,
  ) {
    this.digest = digest;
    this.size = size;
    this.#around = around;
    this.#pace = new Pace(around.now);
    this.#window = new PassingWindow(start, hash, window);
    this.#chunks = chunks;
    this.#abort = abort;
    this.#mayAskAgain = start === 0;
  }

  /** whether it can still be read from its first byte */
  get isWhole(): boolean {
    return this.#window.start === 0 && (this.#ended === undefined || this.#ended === 'proven');
  }

  get readers(): number {
    return this.#members.size;
  }

  /** @returns ms until the byte at `position` can be read, as things go */
  waitMs(position: number): number {
    return this.#pace.waitMs(position - this.#window.end);
  }

  /** @param position where it begins; not before the window */
  reader(position = 0): BlobReader {
    const own: Member = { passage: this, position, isOpen: true, hasRead: false, wake: undefined };
    this.#members.add(own);
    return {
      size: this.size,
      read: async (buffer, at) => {
        if (at < own.position) throw new Error(`content that passes by cannot be read again from ${at}`);
        own.position = at;
        for (;;) {
          if (!own.isOpen) throw new Error('the reader was closed');
          const bytes = own.passage.#take(own, buffer);
          if (bytes !== undefined) return bytes;
          await own.passage.#wait(own);
        }
      },
      close: () => {
        if (!own.isOpen) return;
        own.isOpen = false;
        own.wake?.();
        own.passage.#leave(own);
      },
    };
  }

  /** @returns bytes copied; undefined where it has to wait */
  #take(own: Member, buffer: Buffer): number | undefined {
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

  async #wait(own: Member): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      own.wake = resolve;
    });
    this.#advancing ??= this.#advance();
    await woken;
    own.wake = undefined;
  }

  /** Brings more, or the end. Never rejects. */
  async #advance(): Promise<void> {
    try {
      if (!(await this.#makeRoom())) return this.#advanced();
      this.#chunks ??= await this.#around.open(this.#window.end, this.#abort.signal, false);
      const next = await this.#chunks.next();
      if (next.done) this.#prove();
      else this.#receive(next.value);
    } catch (error) {
      if (isWrongContent(error) && this.#mayAskAgain) await this.#askAgain(error);
      else this.#end({ error });
    }
    this.#advanced();
  }

  #advanced(): void {
    this.#advancing = undefined;
    for (const { wake } of this.#members) wake?.();
  }

  #receive(chunk: Buffer): void {
    this.#pace.arrived(chunk.length);
    this.#window.push(chunk);
    if (this.size !== undefined && this.#window.end > this.size)
      throw new OversizeError(this.digest, this.size);
  }

  #prove(): void {
    const found = digestOfHash(algorithmOf(this.digest), this.#window.hashAtEnd());
    if (found !== this.digest) throw new DigestMismatchError(this.digest, found, this.#window.end);
    this.#end('proven');
  }

  /** Wrong content of which nobody has seen a byte is asked for once more. */
  async #askAgain(wrong: unknown): Promise<void> {
    this.#mayAskAgain = false;
    this.#around.discarded(wrong);
    const isUnseen = this.#window.start === 0 && [...this.#members].every(({ hasRead }) => !hasRead);
    if (!isUnseen) return this.#end({ error: wrong });
    try {
      await this.#chunks?.return?.();
      this.#window.restart(hashFor(this.digest));
      this.#chunks = await this.#around.open(0, this.#abort.signal, true);
    } catch (error) {
      this.#end({ error });
    }
  }

  /**
   * Drops what everyone has read; waits a moment for who is slow; then leaves the slow behind.
   * @returns false where those who waited for more have left meanwhile
   */
  async #makeRoom(): Promise<boolean> {
    for (let isPatient = true; ; isPatient = false) {
      this.#window.dropBefore(this.#slowest());
      if (![...this.#members].some(({ wake }) => wake !== undefined)) return false;
      if (this.#window.bytes < this.#around.windowBytes()) return true;
      if (isPatient) await this.#someRoom();
      else if (!this.#leaveBehind()) return true;
    }
  }

  #slowest(): number {
    return Math.min(...[...this.#members].map(({ position }) => position));
  }

  /** Resolves when the slowest reader has freed enough of the window, or when that has taken too long. */
  async #someRoom(): Promise<void> {
    const enough = new AbortController();
    this.#roomMade = () => {
      if (this.#slowest() - this.#window.start > this.#window.bytes / 2) enough.abort();
    };
    await this.#around.patience(AbortSignal.any([enough.signal, this.#abort.signal]));
    this.#roomMade = undefined;
    this.#abort.signal.throwIfAborted();
  }

  #leaveBehind(): boolean {
    const { start, end } = this.#window;
    const far = Math.max((start + end) / 2, this.#slowest());
    const slow = [...this.#members].filter(({ position, wake }) => wake === undefined && position <= far);
    if (slow.length === 0) return false;
    const { digest, size } = this;
    const next = this.#around.split({
      digest,
      size,
      start,
      hash: this.#window.hashAtStart(),
      window: this.#window.chunks(),
      chunks: undefined,
      abort: new AbortController(),
    });
    for (const member of slow) {
      this.#members.delete(member);
      next.#members.add(member);
      member.passage = next;
    }
    return true;
  }

  #leave(own: Member): void {
    this.#members.delete(own);
    this.#roomMade?.();
    if (this.#members.size > 0) return;
    this.#abort.abort(new Error('nobody reads it any more'));
    if (this.#ended === undefined) this.#around.ended(this, 'left');
    this.#ended ??= { error: new Error('nobody reads it any more') };
  }

  #end(ended: 'proven' | { error: unknown }): void {
    if (this.#ended !== undefined) return;
    this.#ended = ended;
    if (ended !== 'proven') this.#abort.abort(ended.error);
    this.#around.ended(this, ended === 'proven' ? 'passed' : ended);
  }
}
