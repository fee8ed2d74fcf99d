/** Owns one running download: upstream is copied to a file, and every client tail-reads that file. */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import type { BlobReader } from './blob-reader.ts';
import {
  DigestMismatchError,
  isWrongContent,
  NoRoomError,
  OversizeError,
  StorageError,
  StoreClosingError,
} from './errors.ts';
import { FillFile } from './fill-file.ts';
import type { FillInput } from './fill-sources.ts';
import { Pace } from './pace.ts';
import type { Passage, PassageStart } from './passage.ts';
import { releasedBelow, Tail } from './tail.ts';

export interface FillOptions {
  digest: Digest;
  /** the partial file, opened for reading and writing; the fill closes it when nobody reads it any more */
  file: FileHandle;
  /** bytes of an earlier attempt that are in the file */
  found: number;
  input: FillInput;
  /** asks for the whole once more, from another connection; undefined where it is not there any more */
  openAgain: (signal: AbortSignal) => Promise<FillInput | undefined>;
  /** the first download was wrong and is thrown away */
  discarded: (wrong: unknown) => void;
  /** takes the rest of the download past the store, for the readers that are there */
  pass: (start: PassageStart) => Passage;
  /** told after each write, less than 0 where the file begins anew; the ledger keeps count */
  onWritten: (bytes: number) => void;
  /** makes room for so many bytes in all; false where there is none */
  makeRoom: (bytes: number) => Promise<boolean>;
  /** how much of the end may be kept in memory now, for the readers that keep pace */
  recentBytes: () => number;
  abort: AbortController;
  now: () => number;
}

/**
 * Only `#run` writes the file and moves its frontier; the tail shows readers what lies below. Readers never slow
 * the fill: it does not know how far they are.
 */
export class Fill {
  readonly digest: Digest;
  /** resolves with the size when the content is proven; rejects when it cannot be had */
  readonly proven: Promise<number>;
  readonly #options: FillOptions;
  readonly #file: FillFile;
  readonly #tail: Tail;
  readonly #pace: Pace;
  /** what was received last and may not fit */
  #unfit: Buffer | undefined;
  /** whether the first download was wrong */
  #isSecond = false;
  #announced: Promise<void> = Promise.resolve();
  #isPassedOn = false;
  #isRunning = true;

  constructor(options: FillOptions) {
    const { digest, file, recentBytes, onWritten, input, now } = options;
    this.digest = digest;
    this.#options = options;
    this.#pace = new Pace(now);
    this.#file = new FillFile({
      digest,
      file,
      recentBytes,
      wrote: onWritten,
      advanced: () => this.#tail.release(releasedBelow(this.#file.frontier, this.#tail.size)),
    });
    this.#tail = new Tail({
      size: input.size,
      readAt: (buffer, position, length) => this.#file.read(buffer, position, length),
      left: () => {
        this.#closeIfUnused().catch(() => undefined); // a failed close of a file that nobody uses loses nothing
      },
    });
    this.proven = this.#run();
    this.proven.catch(() => undefined); // the owner awaits it too; readers are told by the tail
  }

  /** of the whole content in bytes, as upstream last announced it */
  get size(): number | undefined {
    return this.#tail.size;
  }

  /** resolves when upstream has said the size, after it was wrong about the content: to be awaited before joining */
  get announced(): Promise<void> {
    return this.#announced;
  }

  get frontier(): number {
    return this.#file.frontier;
  }

  get readers(): number {
    return this.#tail.readers;
  }

  /** since a byte arrived, or since the start */
  get idleMs(): number {
    return this.#pace.idleMs;
  }

  get hasFailed(): boolean {
    return this.#tail.hasFailed;
  }

  /** @returns ms until the byte at `position` can be read, as things go */
  waitMs(position: number): number {
    // Upstream has been wrong about this content: what it says of parts of it cannot be proven at all.
    if (position < this.#tail.released || this.#isSecond) return 0;
    return this.#pace.waitMs(position - Math.max(this.#file.frontier, this.#options.found));
  }

  /** A new reader; it may start before any byte is there. */
  reader(): BlobReader {
    return this.#tail.reader();
  }

  /** Ends the download; the file keeps what it has. */
  stop(): void {
    this.#options.abort.abort(new StoreClosingError());
  }

  /** The owner has moved the file to its place or given it up: closed once the last reader leaves. */
  async letGo(): Promise<void> {
    this.#isRunning = false;
    this.#file.forgetRecent();
    await this.#closeIfUnused();
  }

  async #run(): Promise<number> {
    const { input, found, abort } = this.#options;
    try {
      await this.#file.rehash(found);
      try {
        await this.#fetch(input);
      } catch (error) {
        if (!isWrongContent(error)) throw error;
        await this.#fetchAgain(error);
      }
      this.#tail.complete(this.#file.frontier);
      return this.#file.frontier;
    } catch (error) {
      if (!this.#isPassedOn) abort.abort(error);
      this.#tail.fail(error);
      throw error;
    }
  }

  async #fetch(input: FillInput): Promise<void> {
    await this.#copy(input);
    const found = this.#file.digest();
    if (found !== this.digest) throw new DigestMismatchError(this.digest, found, this.#file.frontier);
  }

  /** Wrong content is asked for once more, from another connection. What was shown of it is not continued. */
  async #fetchAgain(wrong: unknown): Promise<void> {
    const { discarded, makeRoom } = this.#options;
    this.#isSecond = true;
    discarded(wrong);
    const input = this.#beginAnew(wrong);
    this.#announced = input.then(
      () => undefined,
      () => undefined, // the fill fails by it: who waits looks
    );
    if (!(await makeRoom((await input).size ?? 0))) throw new NoRoomError();
    await this.#fetch(await input);
  }

  async #beginAnew(wrong: unknown): Promise<FillInput> {
    const { openAgain, abort } = this.#options;
    this.#tail.restart(this.#tail.size, wrong); // before the file changes: a reader must not mix the two
    await this.#file.empty();
    const input = await openAgain(abort.signal);
    if (!input) throw wrong;
    if (input.size !== this.#tail.size) this.#tail.restart(input.size, wrong);
    return input;
  }

  async #copy(input: FillInput): Promise<void> {
    const chunks = input.chunks[Symbol.asyncIterator]();
    try {
      await this.#receive(chunks);
      await this.#file.flush();
    } catch (error) {
      // What was received before is in the file before anyone resumes it, or is known not to be.
      const isRefused = await this.#file.flush().then(
        () => false,
        () => true,
      );
      const rest = [...(isRefused ? this.#file.unwritten : []), ...(this.#unfit ? [this.#unfit] : [])];
      if (error instanceof StorageError) await this.#passOn(input, chunks, rest);
      if (!this.#isPassedOn) await chunks.return?.();
      throw error;
    }
  }

  async #receive(chunks: AsyncIterator<Buffer>): Promise<void> {
    let received = this.#file.frontier;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      received += next.value.length;
      this.#unfit = next.value;
      await this.#fit(received);
      this.#unfit = undefined;
      this.#pace.arrived(next.value.length);
      await this.#file.push(next.value);
    }
  }

  /** No more is written than was reserved, whatever upstream sends. */
  async #fit(received: number): Promise<void> {
    const { size } = this.#tail;
    if (size !== undefined) {
      if (received > size) throw new OversizeError(this.digest, size);
    } else if (!(await this.#options.makeRoom(received))) throw new NoRoomError();
  }

  /**
   * The disk takes no more in the middle. Who reads gets what the file has, and from there on what passes by; the
   * part of the file that must not be shown yet goes along.
   */
  async #passOn({ size }: FillInput, chunks: AsyncIterator<Buffer>, rest: readonly Buffer[]): Promise<void> {
    if (this.#tail.readers === 0 || rest.length === 0) return;
    const start = this.#tail.released;
    const unshown = await this.#readUnshown(start).catch(() => undefined); // the disk cannot even be read
    if (!unshown || this.#tail.readers === 0) return; // all have left meanwhile
    this.#isPassedOn = true;
    const { abort, digest, pass } = this.#options;
    const { frontier, hashAtFrontier: hash } = this.#file;
    const window = { start, chunks: [unshown, ...rest], hash, hashedUpTo: frontier };
    this.#tail.handOver(pass({ digest, size, window, chunks, abort }));
  }

  async #readUnshown(start: number): Promise<Buffer> {
    const unshown = Buffer.alloc(this.#file.frontier - start);
    for (let read = 0; read < unshown.length; ) {
      read += await this.#file.read(unshown.subarray(read), start + read, unshown.length - read);
    }
    return unshown;
  }

  async #closeIfUnused(): Promise<void> {
    if (!this.#isRunning && this.#tail.readers === 0) await this.#file.close();
  }
}
