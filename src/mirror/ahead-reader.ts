/** Owns the reading of a part that lies far ahead of a download: it is fetched by itself, beside. */
import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { BlobReader } from '../store/blob-reader.ts';
import { BrokenOffError } from '../store/errors.ts';
import { HELD_BACK_BYTES } from '../store/tail.ts';

/** A part of content in bytes: `start` included, `end` not. */
export interface ContentPart {
  start: number;
  end: number;
}

/** A reader that can be told which part will be read. */
export interface AimedReader extends BlobReader {
  /** Says what will be read, once, before it is. */
  aim(part: ContentPart): void;
}

export interface AheadOptions {
  /** of the download */
  reader: BlobReader;
  /** ms until the download gets to a position, as things go */
  waitMs: (position: number) => number;
  /** whether the download goes on by itself, so that the end of the content can be waited for while a part is read */
  goesOn: boolean;
  /** fetches the part by itself; undefined where that cannot be done, or is done often enough already */
  fetchPart: (part: ContentPart, signal: AbortSignal) => Promise<AsyncIterable<Buffer> | undefined>;
}

/** Less than this is waited for: a request of its own takes as long. */
const WORTH_A_REQUEST_MS = 500;
/** The end of content that is read by itself: an eStargz footer, a table of contents. */
const MAX_FOOTER_BYTES = 1024 * 1024;

/**
 * Does not wait long for what is far ahead. The digest is that of the whole: a part that is fetched beside cannot be
 * proven, and those who read parts (eStargz, SOCI, parallel fetchers) prove them, or the whole, themselves. Who
 * goes on to the end (Docker after a break) is another matter: the end is given only by the download, and only if what
 * was given before is what the download has brought.
 */
export function aheadReader(options: AheadOptions): AimedReader {
  const { reader, waitMs, goesOn, fetchPart } = options;
  let part: ContentPart | undefined;
  let beside: Beside | undefined;
  let given: Given | undefined;
  let isOpen = true;

  const goesToTheEnd = ({ start, end }: ContentPart): boolean =>
    end === reader.size && end - start > MAX_FOOTER_BYTES;
  const leave = (): void => {
    beside?.close();
    beside = undefined;
    part = undefined;
  };
  /** @returns undefined where the download is to be read instead */
  const readBeside = async (
    aimed: ContentPart,
    buffer: Buffer,
    position: number,
  ): Promise<number | undefined> => {
    const limit = goesToTheEnd(aimed) ? aimed.end - HELD_BACK_BYTES : aimed.end;
    if (position >= limit) return undefined;
    beside ??= openBeside({ start: position, end: limit }, fetchPart);
    const bytes = await beside.read(buffer.subarray(0, limit - position), position);
    if (bytes === undefined || !isOpen) return undefined;
    if (goesToTheEnd(aimed)) {
      given ??= new Given(position);
      given.add(buffer.subarray(0, bytes));
    }
    return bytes;
  };
  const readAhead = async (buffer: Buffer, position: number): Promise<number | undefined> => {
    while (part && isOpen && buffer.length > 0 && waitMs(position) > 0) {
      if (beside || waitMs(position) > WORTH_A_REQUEST_MS) return await readBeside(part, buffer, position);
      if ((await soonOrReady(reader, position)) === 'ready') return undefined;
    }
    return undefined;
  };
  return {
    size: reader.size,
    aim: (wanted) => {
      part = goesOn || !goesToTheEnd(wanted) ? wanted : undefined;
      reader.skipTo?.(wanted.start);
    },
    read: async (buffer, position) => {
      const bytes = await readAhead(buffer, position);
      if (bytes !== undefined) return bytes;
      if (buffer.length > 0) leave();
      if (given && isOpen) await given.compare(reader);
      given = undefined;
      return await reader.read(buffer, position);
    },
    close: () => {
      isOpen = false;
      leave();
      reader.close();
    },
  };
}

/** @returns `ready` when the position can be read (or never will be), `later` when it is time to look how far it is */
async function soonOrReady(reader: BlobReader, position: number): Promise<'ready' | 'later'> {
  const over = new AbortController();
  const ready = reader.read(EMPTY, position).then(
    () => 'ready' as const,
    () => 'ready' as const, // the read that follows is told
  );
  const later = wait(WORTH_A_REQUEST_MS, 'later' as const, { signal: over.signal }).catch(
    () => 'later' as const,
  );
  const first = await Promise.race([ready, later]);
  over.abort();
  return first;
}

const EMPTY = Buffer.alloc(0);
const COMPARE_BYTES = 256 * 1024;

/** What was given of a part that was fetched beside, to be compared with the download. */
class Given {
  readonly #start: number;
  readonly #hash = createHash('sha256');
  #end: number;

  constructor(start: number) {
    this.#start = start;
    this.#end = start;
  }

  add(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#end += bytes.length;
  }

  /** @throws BrokenOffError where the download has brought something else */
  async compare(reader: BlobReader): Promise<void> {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(COMPARE_BYTES);
    for (let position = this.#start; position < this.#end; ) {
      const bytes = await reader.read(buffer.subarray(0, this.#end - position), position);
      if (bytes === 0) break;
      hash.update(buffer.subarray(0, bytes));
      position += bytes;
    }
    if (hash.digest('hex') === this.#hash.digest('hex')) return;
    throw new BrokenOffError(
      new Error('a part that was fetched by itself is not what the download has brought'),
    );
  }
}

interface Beside {
  /** @returns undefined where there is no more */
  read(buffer: Buffer, position: number): Promise<number | undefined>;
  close(): void;
}

function openBeside(part: ContentPart, fetchPart: AheadOptions['fetchPart']): Beside {
  const abort = new AbortController();
  const opened = fetchPart(part, abort.signal).catch(() => undefined); // upstream's observer has counted it
  let chunks: AsyncIterator<Buffer> | undefined;
  let rest: Buffer = Buffer.alloc(0);
  let next = part.start;
  return {
    read: async (buffer, position) => {
      chunks ??= (await opened)?.[Symbol.asyncIterator]();
      if (!chunks || position !== next) return undefined;
      try {
        while (rest.length === 0) {
          const { value, done } = await chunks.next();
          if (done) return undefined;
          rest = value;
        }
      } catch {
        return undefined; // as above
      }
      const bytes = rest.copy(buffer);
      rest = rest.subarray(bytes);
      next += bytes;
      return bytes;
    },
    close: () => abort.abort(new Error('its reader has what it wanted')),
  };
}
