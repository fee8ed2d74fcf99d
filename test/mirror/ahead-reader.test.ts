import t from 'tap';
import { type AheadOptions, aheadReader, type ContentPart } from '../../src/mirror/ahead-reader.ts';
import type { BlobReader } from '../../src/store/blob-reader.ts';
import { makeGate } from '../helpers/waiting.ts';
import { isWaiting, turns } from '../store/rig.ts';
import { bytesOf, readUpTo } from '../store/source.ts';

const SIZE = 100_000;
const content = bytesOf(SIZE);
const FAR_MS = 10_000;

interface Fetch extends ContentPart {
  signal: AbortSignal;
  /** bytes that were taken of it */
  sent: number;
}

type Serve = (fetch: Fetch) => AsyncIterable<Buffer> | undefined | Promise<AsyncIterable<Buffer> | undefined>;

async function* pieces(fetch: Fetch, upTo = fetch.end, bytes = 5_000): AsyncGenerator<Buffer, void, void> {
  for (let at = fetch.start; at < upTo; at += bytes) {
    fetch.signal.throwIfAborted();
    const piece = content.subarray(at, Math.min(upTo, at + bytes));
    fetch.sent += piece.length;
    yield piece;
  }
}

/** A download that has come to `frontier`, and the reader that goes ahead of it. */
function start(serve: Serve = pieces, { frontier = 0, waitMs = FAR_MS } = {}) {
  const download = { frontier, reads: [] as number[], isClosed: false, arrived: makeGate() };
  const fetches: Fetch[] = [];
  const base: BlobReader = {
    size: SIZE,
    read: async (buffer, position) => {
      download.reads.push(position);
      if (download.isClosed) throw new Error('the reader was closed');
      if (position >= download.frontier) await download.arrived.opened;
      if (download.isClosed) throw new Error('the reader was closed');
      return content.copy(buffer, 0, position);
    },
    close: () => {
      download.isClosed = true;
      download.arrived.open();
    },
  };
  const options: AheadOptions = {
    reader: base,
    waitMs: (position) => (position < download.frontier ? 0 : waitMs),
    goesOn: true,
    fetchPart: async (part, signal) => {
      const fetch = { ...part, signal, sent: 0 };
      fetches.push(fetch);
      return await serve(fetch);
    },
  };
  const arrive = (upTo: number): void => {
    download.frontier = upTo;
    download.arrived.open();
  };
  return { reader: aheadReader(options), download, fetches, arrive };
}

t.test('a part that is far ahead is fetched by itself, with its bounds', async (t) => {
  const { reader, download, fetches } = start();
  t.equal(reader.size, SIZE);
  reader.aim({ start: 50_000, end: 60_000 });
  t.ok((await readUpTo(reader, 60_000, 50_000)).equals(content.subarray(50_000, 60_000)));
  t.match(fetches, [{ start: 50_000, end: 60_000, sent: 10_000 }]);
  t.same(download.reads, []);
  t.notOk(fetches[0]?.signal.aborted);
  reader.close();
  t.ok(fetches[0]?.signal.aborted, 'what it holds is given back');
  t.ok(download.isClosed);
});

t.test('what is near is waited for, and so is what nobody has aimed at', async (t) => {
  const near = start(pieces, { waitMs: 500 });
  near.reader.aim({ start: 50_000, end: 60_000 });
  const waiting = readUpTo(near.reader, 60_000, 50_000);
  t.ok(await isWaiting(waiting));
  near.arrive(SIZE);
  t.ok((await waiting).equals(content.subarray(50_000, 60_000)));
  const unaimed = start();
  const reading = readUpTo(unaimed.reader, 60_000, 50_000);
  t.ok(await isWaiting(reading));
  unaimed.arrive(SIZE);
  await reading;
  const there = start(pieces, { frontier: SIZE });
  there.reader.aim({ start: 50_000, end: 60_000 });
  await readUpTo(there.reader, 60_000, 50_000);
  t.same([near.fetches, unaimed.fetches, there.fetches], [[], [], []]);
});

t.test('however it fails to come by itself, the download brings it', async (t) => {
  const cases: Record<string, Serve> = {
    'cannot be had': () => undefined,
    'is refused': async () => {
      throw new Error('429');
    },
    'breaks at once': async function* (fetch) {
      if (fetch.sent === 0) throw new Error('reset');
      yield* pieces(fetch);
    },
    'breaks in the middle': async function* (fetch) {
      yield* pieces(fetch, 55_000);
      throw new Error('reset');
    },
    'ends early': (fetch) => pieces(fetch, 55_001),
    'is empty': () => pieces({ start: 0, end: 0, signal: new AbortController().signal, sent: 0 }),
    'comes in empty pieces': async function* (fetch) {
      for await (const piece of pieces(fetch, 52_000)) {
        yield Buffer.alloc(0);
        yield piece;
      }
    },
  };
  for (const [what, serve] of Object.entries(cases)) {
    const { reader, fetches, arrive } = start(serve);
    reader.aim({ start: 50_000, end: 60_000 });
    const reading = readUpTo(reader, 60_000, 50_000);
    t.ok(await isWaiting(reading), what);
    t.equal(fetches.length, 1, `${what}: asked for once`);
    t.ok(fetches[0]?.signal.aborted, `${what}: nothing of it is held`);
    arrive(SIZE);
    t.ok((await reading).equals(content.subarray(50_000, 60_000)), what);
    reader.close();
  }
});

t.test('when the download has got there it is read on', async (t) => {
  const { reader, download, fetches, arrive } = start();
  reader.aim({ start: 50_000, end: 90_000 });
  await readUpTo(reader, 60_000, 50_000);
  arrive(60_000);
  await readUpTo(reader, 65_000, 60_000);
  t.same(download.reads, [], 'it has not got there yet');
  arrive(66_000);
  t.ok((await readUpTo(reader, 90_000, 65_000)).equals(content.subarray(65_000, 90_000)));
  t.same(download.reads, [65_000]);
  t.match(fetches, [{ sent: 15_000 }]);
  t.ok(fetches[0]?.signal.aborted, 'and the rest of the part is not fetched');
});

t.test('bytes that wait in a piece are not lost to a small buffer, nor given twice', async (t) => {
  const { reader } = start((fetch) => pieces(fetch, fetch.end, 4_999));
  reader.aim({ start: 10_000, end: 30_000 });
  const got: Buffer[] = [];
  for (let position = 10_000; position < 30_000; ) {
    const buffer = Buffer.alloc(777);
    const bytes = await reader.read(buffer, position);
    got.push(buffer.subarray(0, bytes));
    position += bytes;
  }
  t.ok(Buffer.concat(got).equals(content.subarray(10_000, 30_000)));
});

t.test('a position that is not the next is left to the download', async (t) => {
  const { reader, download, fetches, arrive } = start();
  reader.aim({ start: 50_000, end: 60_000 });
  await reader.read(Buffer.alloc(100), 50_000);
  arrive(SIZE - 1);
  download.frontier = 0;
  const buffer = Buffer.alloc(100);
  t.equal(await reader.read(buffer, 55_000), 100);
  t.ok(buffer.equals(content.subarray(55_000, 55_100)));
  t.ok(fetches[0]?.signal.aborted);
});

t.test('a read of nothing asks for nothing', async (t) => {
  const { reader, fetches, arrive } = start();
  arrive(10);
  reader.aim({ start: 50_000, end: 60_000 });
  await reader.read(Buffer.alloc(0), 0);
  t.same(fetches, []);
});

t.test('closed while the part is asked for', async (t) => {
  const gate = makeGate();
  const { reader, fetches } = start(async (fetch) => {
    await gate.opened;
    return pieces(fetch);
  });
  reader.aim({ start: 50_000, end: 60_000 });
  const reading = reader.read(Buffer.alloc(10), 50_000);
  await turns();
  reader.close();
  gate.open();
  await t.rejects(reading, { message: /closed/ });
  t.match(fetches, [{ sent: 0 }]);
  t.ok(fetches[0]?.signal.aborted);
});

t.test('closed while it waits for bytes of the part', async (t) => {
  const { reader, fetches } = start(async function* (fetch) {
    yield content.subarray(fetch.start, fetch.start + 10);
    await new Promise((_, reject) => {
      fetch.signal.addEventListener('abort', () => reject(fetch.signal.reason));
    });
  });
  reader.aim({ start: 50_000, end: 60_000 });
  await reader.read(Buffer.alloc(10), 50_000);
  const reading = reader.read(Buffer.alloc(10), 50_010);
  t.ok(await isWaiting(reading));
  reader.close();
  await t.rejects(reading, { message: /closed/ });
  t.ok(fetches[0]?.signal.aborted);
});

t.test('closed: nothing more is fetched', async (t) => {
  const { reader, fetches } = start();
  reader.aim({ start: 50_000, end: 60_000 });
  reader.close();
  reader.close();
  await t.rejects(reader.read(Buffer.alloc(10), 50_000), { message: /closed/ });
  t.same(fetches, []);
});

t.test(
  'a download that fails, or goes on elsewhere, while one waits for what is near: nobody spins',
  async (t) => {
    for (const outcome of [new Error('reset'), 5]) {
      let reads = 0;
      const reader = aheadReader({
        reader: {
          size: 100,
          read: async () => {
            reads += 1;
            if (typeof outcome === 'number') return outcome;
            throw outcome;
          },
          close: () => undefined,
        },
        waitMs: () => 10, // it never moves again
        goesOn: true,
        fetchPart: async () => undefined,
      });
      reader.aim({ start: 50, end: 60 });
      const read = await reader.read(Buffer.alloc(10), 50).catch((error: unknown) => error);
      t.equal(read, outcome);
      t.equal(reads, 2, 'one that waits, one that reads');
    }
  },
);

t.test('to the end of what does not go on by itself, nothing is fetched beside', async (t) => {
  const size = 4 * 1024 * 1024;
  const parts: ContentPart[] = [];
  const make = () =>
    aheadReader({
      reader: { size, read: async (buffer) => buffer.length, close: () => undefined },
      waitMs: () => 10_000,
      goesOn: false,
      fetchPart: async (part) => {
        parts.push(part);
        return undefined;
      },
    });
  const toTheEnd = make();
  toTheEnd.aim({ start: 1024, end: size });
  t.equal(await toTheEnd.read(Buffer.alloc(10), 1024), 10);
  t.same(parts, []);
  const inTheMiddle = make();
  inTheMiddle.aim({ start: 1024, end: 2048 });
  await inTheMiddle.read(Buffer.alloc(10), 1024);
  t.same(parts, [{ start: 1024, end: 2048 }]);
});
