import fc from 'fast-check';
import t from 'tap';
import type { BlobReader } from '../../src/store/blob-reader.ts';
import { DigestMismatchError } from '../../src/store/errors.ts';
import { HELD_BACK_BYTES } from '../../src/store/tail.ts';
import { isWaiting, MIB, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startPatient } from './start-passage.ts';

const SIZE = 2 * MIB + 17;
const CHUNK_BYTES = 16 * 1024;
const WINDOW_BYTES = 256 * 1024;

t.test('a reader that stalls is waited for a moment, and no more is kept than the window', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, isWaitedFor } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  await readUpTo(stalled, 1000);
  const reading = readToEnd(fast);
  await isWaitedFor();
  t.ok(await isWaiting(reading));
  t.ok(source.sent <= WINDOW_BYTES + CHUNK_BYTES, 'upstream is held back');
  t.same([passage.readers, splits.length], [2, 0]);
  t.ok((await readToEnd(stalled, { from: 1000 })).equals(source.content.subarray(1000)));
  t.ok((await reading).equals(source.content));
  t.same([splits.length, source.sent], [0, SIZE], 'it came back in time: one download');
});

t.test('then it is left behind, and nobody waits for it any more', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, told, lose } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  await readUpTo(stalled, 1000);
  const reading = readToEnd(fast);
  await lose();
  t.ok((await reading).equals(source.content));
  t.same([passage.readers, splits.map(({ readers }) => readers)], [0, [1]]);
  t.same([source.asked, source.sent], [[0], SIZE], 'who stalls asks for nothing');
  t.same(told, ['passed']);

  t.ok((await readToEnd(stalled, { from: 1000 })).equals(source.content.subarray(1000)));
  const [, from = 0] = source.asked;
  t.ok(from > 0 && from <= WINDOW_BYTES + CHUNK_BYTES, 'it goes on where the window ended');
  t.same([source.sent, source.asked.length], [SIZE + SIZE - from, 2]);
  t.same(told, ['passed', 'passed']);
});

t.test('what it reads is proven as any other', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, lose } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  const reading = readToEnd(fast);
  await lose();
  await reading;
  source.content[SIZE - 1] = (source.content[SIZE - 1] ?? 0) ^ 1; // upstream goes bad meanwhile
  const got: Buffer[] = [];
  await t.rejects(readToEnd(stalled, { got }), DigestMismatchError);
  t.ok(Buffer.concat(got).length <= SIZE - HELD_BACK_BYTES);
});

t.test('several that are left behind go on together', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, lose } = startPatient(source);
  const stalled = [passage.reader(), passage.reader(), passage.reader()];
  const fast = [passage.reader(), passage.reader()];
  const reading = Promise.all(fast.map((reader) => readToEnd(reader)));
  await lose();
  for (const got of await reading) t.ok(got.equals(source.content));
  for (const got of await Promise.all(stalled.map((reader) => readToEnd(reader))))
    t.ok(got.equals(source.content));
  t.same([splits.length, source.asked.length], [1, 2]);
});

t.test('of those that are left behind, who stalls again is left behind again', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, told, lose } = startPatient(source);
  const [stalled, slow, fast] = [passage.reader(), passage.reader(), passage.reader()];
  await readUpTo(stalled, 500);
  await readUpTo(slow, 1000);
  const reading = readToEnd(fast);
  await lose();
  t.ok((await reading).equals(source.content));
  t.equal(splits[0]?.readers, 2);
  const slowReading = readToEnd(slow, { from: 1000 });
  await lose();
  t.ok((await slowReading).equals(source.content.subarray(1000)));
  t.same(
    splits.map(({ readers }) => readers),
    [0, 1],
  );
  t.ok((await readToEnd(stalled, { from: 500 })).equals(source.content.subarray(500)));
  t.same([source.asked.length, told], [3, ['passed', 'passed', 'passed']]);
});

t.test('a reader in the newer half of the window is not left behind with the others', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, isWaitedFor, lose } = startPatient(source);
  const [stalled, near, fast] = [passage.reader(), passage.reader(), passage.reader()];
  await readUpTo(stalled, 1000);
  const reading = readToEnd(fast);
  await isWaitedFor();
  await readUpTo(near, (WINDOW_BYTES * 3) / 4);
  await lose();
  await turns();
  t.same([passage.readers, splits[0]?.readers], [2, 1]);
  const rest = readToEnd(near, { from: (WINDOW_BYTES * 3) / 4 });
  t.ok((await reading).equals(source.content));
  t.ok((await rest).equals(source.content.subarray((WINDOW_BYTES * 3) / 4)));
  stalled.close();
});

t.test('who is waited for and leaves holds nobody up', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, told, isWaitedFor } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  await readUpTo(stalled, 1000);
  const reading = readToEnd(fast);
  await isWaitedFor();
  stalled.close();
  t.ok((await reading).equals(source.content));
  t.same([splits.length, source.asked, told], [0, [0], ['passed']]);
});

t.test('who waits for the slow and leaves takes nothing from them', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, told, isWaitedFor, lose } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  await readUpTo(stalled, 1000);
  const reading = readToEnd(fast).catch(String);
  await isWaitedFor();
  fast.close();
  t.match(await reading, /closed/);
  await lose();
  t.ok((await readToEnd(stalled, { from: 1000 })).equals(source.content.subarray(1000)));
  t.same([splits.length, source.asked, told], [0, [0], ['passed']], 'still the one download');
});

t.test('all leave while somebody is waited for', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passage, splits, told, isWaitedFor } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  const reading = readToEnd(fast).catch(String);
  await isWaitedFor();
  stalled.close();
  fast.close();
  t.match(await reading, /closed/);
  await turns();
  t.same([passage.readers, splits.length, told], [0, 0, ['left']]);
  t.ok(source.sent <= WINDOW_BYTES + CHUNK_BYTES);
});

t.test('who was left behind and leaves asks for nothing', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const { passage, splits, told, lose } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  const reading = readToEnd(fast);
  await lose();
  await turns();
  stalled.close();
  t.same([splits[0]?.readers, told], [0, ['left']]);
  source.allow();
  t.ok((await reading).equals(source.content));
  t.same([source.asked, told], [[0], ['left', 'passed']]);
});

t.test('a download that breaks for who was left behind breaks for nobody else', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const { passage, splits, told, lose } = startPatient(source);
  const [stalled, fast] = [passage.reader(), passage.reader()];
  const reading = readToEnd(fast);
  await lose();
  await turns();
  const late = readToEnd(stalled);
  late.catch(() => undefined);
  await turns();
  source.fail(new Error('reset')); // told to the one that asks first, and once
  source.allow();
  const results = await Promise.allSettled([reading, late]);
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  for (const result of results) {
    if (result.status === 'fulfilled') t.ok(result.value.equals(source.content));
  }
  t.same([splits.length, told.sort()], [1, ['failed', 'passed']]);
});

/** Reads as a client that pauses and may leave does. @returns what it got, undefined where it has left */
async function readSomehow(
  reader: BlobReader,
  pauses: readonly number[],
  { bufferBytes, leavesAt }: { bufferBytes: number; leavesAt: number | undefined },
): Promise<Buffer | undefined> {
  const got: Buffer[] = [];
  try {
    for (let position = 0, round = 0; ; round++) {
      if (leavesAt !== undefined && position >= leavesAt) return undefined;
      await turns(pauses[round % pauses.length]);
      const buffer = Buffer.alloc(bufferBytes);
      const bytes = await reader.read(buffer, position);
      if (bytes === 0) return Buffer.concat(got);
      got.push(buffer.subarray(0, bytes));
      position += bytes;
    }
  } finally {
    reader.close();
  }
}

t.test('readers of any pace, that leave at any time, have what is right', async () => {
  const pace = fc.record({
    bufferBytes: fc.integer({ min: 3_000, max: 300_000 }),
    pauses: fc.array(fc.nat(6), { minLength: 1, maxLength: 6 }),
    leavesAt: fc.option(fc.nat(600_000), { nil: undefined }),
  });
  const content = bytesOf(600_000);
  await fc.assert(
    fc.asyncProperty(
      ...([
        fc.array(pace, { minLength: 1, maxLength: 7 }),
        fc.integer({ min: 1_000, max: 100_000 }),
        fc.integer({ min: 200_000, max: 500_000 }),
        fc.nat(4),
        fc.boolean(),
      ] as const),
      async (paces, chunkBytes, windowBytes, patienceTurns, says) => {
        const source = new Source(content, { chunkBytes, size: says ? content.length : undefined });
        const patience = (): Promise<void> => turns(patienceTurns);
        const { passage, splits } = startPatient(source, { windowBytes, patience });
        const readers = paces.map(() => passage.reader());
        const all = await Promise.all(
          readers.map((reader, at) => readSomehow(reader, paces[at]?.pauses ?? [], paces[at] ?? never())),
        );
        for (const [at, got] of all.entries()) {
          if (got === undefined && paces[at]?.leavesAt === undefined) throw new Error('it had not left');
          if (got && !got.equals(content)) throw new Error('other bytes');
        }
        if ([passage, ...splits].some(({ readers }) => readers > 0)) throw new Error('one is still there');
      },
    ),
    { numRuns: 60 },
  );
});

function never(): never {
  throw new Error('every reader has a pace');
}
