/** Owns the reading of a part that lies far ahead of a download: it is fetched by itself, beside. */
import type { BlobReader } from '../store/blob-reader.ts';

/** A part of content in bytes: `start` included, `end` not. */
export interface ContentPart {
  start: number;
  end: number;
}

/** A reader that can be told which part will be read. */
export interface AimedReader extends BlobReader {
  /** Says what will be read, once; what is far ahead is fetched by itself from then on. */
  aim(part: ContentPart): void;
}

export interface AheadOptions {
  /** of the download */
  reader: BlobReader;
  /** ms until the download gets to a position, as things go */
  waitMs: (position: number) => number;
  /** fetches the part by itself; undefined where that cannot be done, or is done often enough already */
  fetchPart: (part: ContentPart, signal: AbortSignal) => Promise<AsyncIterable<Buffer> | undefined>;
}

/** Less than this is waited for: a request of its own takes as long. */
const WORTH_A_REQUEST_MS = 500;

/**
 * A reader of a download that does not wait long for what is far ahead. What it fetches beside cannot be proven:
 * the digest is that of the whole. (Who reads parts, like eStargz and SOCI, proves them itself.) Once the download
 * has got there it is read on.
 */
export function aheadReader({ reader, waitMs, fetchPart }: AheadOptions): AimedReader {
  let part: ContentPart | undefined;
  let beside: Beside | undefined;
  let isOpen = true;
  const leave = (): void => {
    beside?.close();
    beside = undefined;
    part = undefined;
  };
  return {
    size: reader.size,
    aim: (wanted) => {
      part = wanted;
    },
    read: async (buffer, position) => {
      const isFar = (): boolean => part !== undefined && waitMs(position) > (beside ? 0 : WORTH_A_REQUEST_MS);
      while (isOpen && buffer.length > 0 && isFar()) {
        beside ??= await openBeside({ start: position, end: part?.end ?? position }, fetchPart);
        const bytes = isOpen ? await beside?.read(buffer, position) : undefined;
        if (bytes !== undefined) return bytes;
        leave(); // it broke, or was not to be had: the download gets there
      }
      leave();
      return await reader.read(buffer, position);
    },
    close: () => {
      isOpen = false;
      leave();
      reader.close();
    },
  };
}

interface Beside {
  /** @returns undefined where there is no more */
  read(buffer: Buffer, position: number): Promise<number | undefined>;
  close(): void;
}

async function openBeside(
  part: ContentPart,
  fetchPart: AheadOptions['fetchPart'],
): Promise<Beside | undefined> {
  const abort = new AbortController();
  const fetched = await fetchPart(part, abort.signal).catch(() => undefined); // upstream's observer has counted it
  if (!fetched) {
    abort.abort();
    return undefined;
  }
  const chunks = fetched[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let next = part.start;
  return {
    read: async (buffer, position) => {
      if (position !== next) return undefined;
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
