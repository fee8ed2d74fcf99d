import fc from 'fast-check';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import type { BlobReader } from '../../src/store/blob-reader.ts';
import { DigestMismatchError } from '../../src/store/errors.ts';
import { HELD_BACK_BYTES } from '../../src/store/tail.ts';
import { MIB, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startPassages } from './start-passage.ts';

const SIZE = MIB + 17;

async function pass(source: Source, digest = source.digest): Promise<BlobReader> {
  return (await startPassages(source, { digest }).join()).reader();
}

t.test('many readers are one download', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { passages, told, join } = startPassages(source);
  const joined = await Promise.all(Array.from({ length: 20 }, join));
  const readers = joined.map((passage) => passage.reader());
  t.same([passages.size, passages.readers], [1, 20]);
  for (const got of await Promise.all(readers.map((reader) => readToEnd(reader)))) {
    if (!got.equals(source.content)) t.fail('other bytes');
  }
  t.same([source.asked, source.sent], [[0], SIZE]);
  t.same([passages.size, passages.readers, told], [0, 0, ['passed']]);
});

t.test('it is joined while its first byte is there, and not after', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB / 2 });
  const { passages, join } = startPassages(source);
  const passage = await join();
  const first = passage.reader();
  t.equal(await join(), passage);
  await readUpTo(first, MIB / 4);
  t.notOk(passage.isWhole, 'what the only reader has read is not kept');
  const other = await join();
  t.not(other, passage);
  t.equal(passages.size, 2);
  source.allow();
  const [rest, whole] = await Promise.all([readToEnd(first, { from: MIB / 4 }), readToEnd(other.reader())]);
  t.ok(rest.equals(source.content.subarray(MIB / 4)) && whole.equals(source.content));
  t.same(source.asked, [0, 0]);
});

t.test('what one reader has not read is kept, and read by who joins', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB / 2 });
  const { join } = startPassages(source);
  const passage = await join();
  const [slow, fast] = [passage.reader(), passage.reader()];
  await readUpTo(fast, MIB / 4);
  t.equal(await join(), passage);
  const late = passage.reader();
  source.allow();
  const all = await Promise.all([
    readToEnd(slow),
    readToEnd(late),
    readToEnd(fast, { from: MIB / 4 }).then((rest) =>
      Buffer.concat([source.content.subarray(0, MIB / 4), rest]),
    ),
  ]);
  t.ok(all.every((got) => got.equals(source.content)));
  t.same([source.asked, source.sent], [[0], SIZE]);
});

t.test('content of any size from any position on, of known size and unknown', async () => {
  const pieces = fc.integer({ min: 300, max: 200_000 });
  const sizes = fc.oneof(fc.nat(300_000), fc.constantFrom(0, HELD_BACK_BYTES, HELD_BACK_BYTES + 1));
  await fc.assert(
    fc.asyncProperty(
      ...([sizes, fc.nat(1000), pieces, pieces, fc.boolean()] as const),
      async (size, part, chunkBytes, bufferBytes, says) => {
        const source = new Source(bytesOf(size), { chunkBytes, size: says ? size : undefined });
        const from = Math.floor((size * part) / 1000);
        const got = await readToEnd(await pass(source), { from, bufferBytes });
        if (!got.equals(source.content.subarray(from))) throw new Error('other bytes');
      },
    ),
    { numRuns: 80 },
  );
});

t.test('positions may leave something out, and never go back', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const reader = await pass(source);
  for (const position of [0, 100, 100_000, 900_000, SIZE - 5]) {
    const buffer = Buffer.alloc(50);
    const bytes = await reader.read(buffer, position);
    t.ok(bytes > 0);
    const expected = source.content.subarray(position, position + bytes);
    t.ok(buffer.subarray(0, bytes).equals(expected), `at ${position}`);
  }
  await t.rejects(reader.read(Buffer.alloc(1), 7));
  t.same(source.asked, [0]);
});

t.test('a position past the end is the end, when the content is proven', async (t) => {
  const source = new Source(bytesOf(SIZE));
  t.equal(await (await pass(source)).read(Buffer.alloc(10), SIZE + 10), 0);
  const wrong = await pass(source, digestOf('x'));
  await t.rejects(wrong.read(Buffer.alloc(10), SIZE + 10), DigestMismatchError);
});

t.test('sha512', async (t) => {
  const source = new Source(bytesOf(SIZE));
  t.ok((await readToEnd(await pass(source, source.digestWith('sha512')))).equals(source.content));
  const wrong = await pass(source, digestOf('x', 'sha512'));
  await t.rejects(readToEnd(wrong), DigestMismatchError);
});

t.test('a reader that closes while it waits ends, and nobody else does', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: 0 });
  const { passages, told, join } = startPassages(source);
  const passage = await join();
  const [leaving, staying] = [passage.reader(), passage.reader()];
  const left = leaving.read(Buffer.alloc(10), 0);
  const stayed = readToEnd(staying);
  await turns();
  leaving.close();
  leaving.close();
  await t.rejects(left, { message: /closed/ });
  await t.rejects(leaving.read(Buffer.alloc(1), 0), { message: /closed/ });
  t.equal(passages.readers, 1);
  source.allow();
  t.ok((await stayed).equals(source.content));
  t.same(told, ['passed']);
});

t.test('the last reader that leaves ends the download', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB / 2 });
  const { passages, told, join } = startPassages(source);
  const passage = await join();
  const [first, last] = [passage.reader(), passage.reader()];
  await readUpTo(first, 1000);
  const reading = last.read(Buffer.alloc(10), MIB - 1).catch(String);
  await turns();
  first.close();
  t.same([passages.size, passages.readers, told], [1, 1, []], 'one is there still');
  last.close();
  t.match(await reading, /closed/);
  t.same([passages.size, passages.readers, told], [0, 0, ['left']]);
  const { sent } = source;
  source.allow();
  await turns();
  t.equal(source.sent, sent, 'not a byte more was asked for');
  t.ok((await readToEnd((await join()).reader())).equals(source.content), 'the next one begins anew');
});
