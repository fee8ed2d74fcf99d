import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import type { BlobReader } from '../../src/store/blob-reader.ts';
import { DigestMismatchError, OversizeError } from '../../src/store/errors.ts';
import type { OpenInput } from '../../src/store/fill-sources.ts';
import { HELD_BACK_BYTES } from '../../src/store/tail.ts';
import { isWaiting, MIB } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startPassages, startPatient } from './start-passage.ts';

const SIZE = MIB + 17;

async function pass(source: Source, digest = source.digest): Promise<BlobReader> {
  return (await startPassages(source, { digest }).join()).reader();
}

t.test('what claims to be empty is proven to be', async (t) => {
  const empty = new Source(Buffer.alloc(0));
  t.equal(await (await pass(empty)).read(Buffer.alloc(10), 0), 0);
  await t.rejects((await pass(empty, digestOf('x'))).read(Buffer.alloc(10), 0), DigestMismatchError);
});

t.test('the last bytes are held back until the digest is proven', async (t) => {
  for (const size of [SIZE, undefined]) {
    const source = new Source(bytesOf(SIZE), { allowed: SIZE - 1, size });
    const reader = await pass(source);
    t.equal(reader.size, size);
    await readUpTo(reader, SIZE - 1 - HELD_BACK_BYTES);
    const last = reader.read(Buffer.alloc(MIB), SIZE - HELD_BACK_BYTES);
    t.ok(await isWaiting(last));
    source.allow();
    t.equal(await last, HELD_BACK_BYTES);
  }
});

t.test('wrong content never completes, and stays wrong', async (t) => {
  for (const size of [10, HELD_BACK_BYTES, SIZE]) {
    const source = new Source(bytesOf(size));
    const { passages, told, join } = startPassages(source, { digest: digestOf('x') });
    const reader = (await join()).reader();
    const got: Buffer[] = [];
    await t.rejects(readToEnd(reader, { got }), DigestMismatchError);
    const position = Buffer.concat(got).length;
    t.ok(position <= Math.max(0, size - HELD_BACK_BYTES));
    await t.rejects(reader.read(Buffer.alloc(10), position), 'asked again, it is no end either');
    t.same(told, ['discarded', 'failed']);
    t.same(source.asked, size === SIZE ? [0] : [0, 0], 'asked for once more where nobody has seen any of it');
    t.equal(passages.size, 0);
  }
});

t.test('wrong content of which nobody has seen a byte is asked for once more, unnoticed', async (t) => {
  for (const size of [HELD_BACK_BYTES, undefined]) {
    const good = new Source(bytesOf(HELD_BACK_BYTES), { size });
    const bad = new Source(bytesOf(HELD_BACK_BYTES, 2), { size });
    const { passage, told } = startPatient(bad, { digest: good.digest, again: good });
    const readers = [passage.reader(), passage.reader()];
    const [all, some] = await Promise.all([
      ...readers.map((reader, at) => readToEnd(reader, { from: at * 1000 })),
    ]);
    t.ok(all?.equals(good.content) && some?.equals(good.content.subarray(1000)));
    t.same([bad.asked, good.asked, told], [[0], [0], ['discarded', 'passed']]);
  }
});

t.test('who waits far ahead, and has seen nothing, hides no wrong byte from who has', async (t) => {
  const good = new Source(bytesOf(SIZE));
  const bad = new Source(bytesOf(SIZE, 2));
  const { passage, told } = startPatient(bad, { digest: good.digest, again: good, windowBytes: 2 * MIB });
  const [first, ahead] = [passage.reader(), passage.reader()];
  await readUpTo(first, 1000);
  await t.rejects(ahead.read(Buffer.alloc(10), SIZE - 10), DigestMismatchError);
  await t.rejects(readToEnd(first, { from: 1000 }), DigestMismatchError);
  t.same([good.asked, told], [[], ['discarded', 'failed']]);
});

t.test('a second attempt that cannot be had, or is announced with another size, is told', async (t) => {
  const good = new Source(bytesOf(1000));
  const bad = new Source(bytesOf(1000, 2));
  const failing = new Source(good.content, { allowed: 0, failure: new Error('reset') });
  const { passage, told } = startPatient(bad, { digest: good.digest, again: failing });
  await t.rejects(readToEnd(passage.reader()), { message: 'reset' });
  t.same(told, ['discarded', 'failed']);

  const changing = new Source(bytesOf(1000, 2));
  const sizes = [1000, 999];
  const open: OpenInput = async ({ from, signal }) => ({
    ...changing.input(from, signal),
    size: sizes.shift(),
  });
  const other = startPassages({ digest: good.digest, open });
  await t.rejects(readToEnd((await other.join()).reader()), { message: /changed its mind/ });
  t.same([other.told, other.passages.size, sizes], [['discarded', 'failed'], 0, []]);
});

t.test('a broken source is told, and is no end when asked again', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB / 2, failure: new Error('reset') });
  const { passages, told, join } = startPassages(source);
  const reader = (await join()).reader();
  const got: Buffer[] = [];
  await t.rejects(readToEnd(reader, { got }), { message: 'reset' });
  t.equal(Buffer.concat(got).length, MIB / 2, 'what had come was read');
  await t.rejects(reader.read(Buffer.alloc(10), MIB / 2));
  t.same([passages.size, told], [0, ['failed']]);
  source.allow();
  const next = (await join()).reader();
  t.ok((await readToEnd(next)).equals(source.content), 'who asks again gets a new download');
});

t.test('what is announced is not given out before it is proven, however much more comes', async (t) => {
  const announced = HELD_BACK_BYTES * 2;
  const source = new Source(bytesOf(announced * 3), { size: announced });
  const got: Buffer[] = [];
  await t.rejects(readToEnd(await pass(source), { got }), OversizeError);
  t.ok(Buffer.concat(got).length < announced, 'a client that was promised so much has no whole response');
});
