import fc from 'fast-check';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { DigestMismatchError, OversizeError, StoreClosingError } from '../../src/store/errors.ts';
import type { PassageStart } from '../../src/store/passage.ts';
import { HELD_BACK_BYTES } from '../../src/store/tail.ts';
import { isWaiting, MIB } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startFill } from './start-fill.ts';

const SIZE = 3 * MIB + 17;

t.test('readers get the content while it comes, at any offset', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const { fill, written } = await startFill(t, source);
  const first = fill.reader();
  t.equal(first.size, SIZE);
  t.ok((await readUpTo(first, MIB)).equals(source.content.subarray(0, MIB)));
  const ahead = fill.reader().read(Buffer.alloc(100), 2 * MIB);
  t.ok(await isWaiting(ahead), 'what has not come is waited for');
  const late = readToEnd(fill.reader(), { from: 5 });
  source.allow();
  t.equal(await ahead, 100);
  t.ok((await late).equals(source.content.subarray(5)));
  t.ok((await readToEnd(first)).equals(source.content));
  t.equal(await fill.proven, SIZE);
  t.equal(await fill.reader().read(Buffer.alloc(1), SIZE + 5), 0, 'past the end there is nothing');
  t.equal(written(), SIZE);
});

t.test('sha512 content is proven too', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { fill } = await startFill(t, source, { digest: source.digestWith('sha512') });
  t.ok((await readToEnd(fill.reader())).equals(source.content));
});

t.test('content of any size in pieces of any size', async (t) => {
  const sizes = fc.oneof(
    fc.nat(300_000),
    fc.constantFrom(0, 1, HELD_BACK_BYTES - 1, HELD_BACK_BYTES, HELD_BACK_BYTES + 1),
  );
  const pieces = fc.integer({ min: 500, max: 200_000 });
  await fc.assert(
    fc.asyncProperty(
      sizes,
      pieces,
      pieces,
      fc.nat(2 ** 17),
      async (size, chunkBytes, bufferBytes, recentBytes) => {
        const source = new Source(bytesOf(size), {
          chunkBytes,
          size: recentBytes % 2 === 0 ? size : undefined,
        });
        const { fill } = await startFill(t, source, { recentBytes });
        const from = Math.floor(size / 3);
        const [whole, part] = await Promise.all([
          readToEnd(fill.reader(), { bufferBytes }),
          readToEnd(fill.reader(), { bufferBytes, from }),
        ]);
        await fill.letGo();
        if (!whole.equals(source.content)) throw new Error('other bytes');
        if (!part.equals(source.content.subarray(from))) throw new Error('other bytes from an offset');
      },
    ),
    { numRuns: 60 },
  );
});

t.test('the last bytes are held back until the digest is proven', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: SIZE - 1 });
  const { fill } = await startFill(t, source);
  const reader = fill.reader();
  await readUpTo(reader, SIZE - HELD_BACK_BYTES);
  const last = reader.read(Buffer.alloc(10), SIZE - HELD_BACK_BYTES);
  t.ok(await isWaiting(last));
  t.equal(fill.frontier, SIZE - 1, 'although all but one have come');
  source.allow();
  t.equal(await last, 10);
});

t.test('so they are where upstream does not say the size', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB, size: undefined });
  const { fill } = await startFill(t, source);
  const reader = fill.reader();
  t.equal(reader.size, undefined);
  await readUpTo(reader, 2 * MIB - HELD_BACK_BYTES);
  const last = reader.read(Buffer.alloc(10), 2 * MIB - HELD_BACK_BYTES);
  t.ok(await isWaiting(last));
  source.allow();
  t.equal(await last, 10);
});

t.test('wrong content never completes', async (t) => {
  const wanted = digestOf('something else');
  for (const says of [true, false]) {
    const source = new Source(bytesOf(SIZE), { size: says ? SIZE : undefined });
    const { fill } = await startFill(t, source, { digest: wanted });
    const got: Buffer[] = [];
    await t.rejects(readToEnd(fill.reader(), { got }), DigestMismatchError);
    t.ok(
      Buffer.concat(got).length <= SIZE - HELD_BACK_BYTES,
      'how far it got before the second attempt began',
    );
    const error: unknown = await fill.proven.catch((error: unknown) => error);
    t.match(error, { wanted, found: source.digest, size: SIZE });
    await t.rejects(
      fill.reader().read(Buffer.alloc(1), SIZE - 1),
      DigestMismatchError,
      'nor for who comes late',
    );
  }
});

t.test('a single flipped byte at the very end is found', async (t) => {
  const good = bytesOf(SIZE);
  const bad = Buffer.from(good);
  bad[SIZE - 1] = (bad[SIZE - 1] ?? 0) ^ 1;
  const { fill } = await startFill(t, new Source(bad), { digest: digestOf(good) });
  await t.rejects(readToEnd(fill.reader()), DigestMismatchError);
});

t.test('wrong content of which nothing was shown is asked for once more', async (t) => {
  const good = new Source(bytesOf(HELD_BACK_BYTES));
  const bad = new Source(bytesOf(HELD_BACK_BYTES, 2));
  const { fill, file } = await startFill(t, bad, { digest: good.digest, again: good });
  t.ok((await readToEnd(fill.reader())).equals(good.content));
  t.same(good.asked, [0]);
  t.equal((await file.stat()).size, HELD_BACK_BYTES);
});

t.test('and once only', async (t) => {
  const bad = new Source(Buffer.from('<html>sign in</html>'));
  const { fill } = await startFill(t, bad, { digest: digestOf('x') });
  const got: Buffer[] = [];
  await t.rejects(readToEnd(fill.reader(), { got }), DigestMismatchError);
  t.same(bad.asked, [0]);
  t.same(got, [], 'not a byte of it was shown');
});

t.test('more than was announced ends the fill before the end is shown', async (t) => {
  const source = new Source(bytesOf(SIZE), { size: MIB });
  const { fill } = await startFill(t, source);
  const got: Buffer[] = [];
  await t.rejects(readToEnd(fill.reader(), { got }), OversizeError);
  t.ok(Buffer.concat(got).length <= MIB - HELD_BACK_BYTES);
});

t.test('less than was announced is no end', async (t) => {
  const whole = bytesOf(SIZE);
  const source = new Source(whole.subarray(0, MIB), { size: SIZE });
  const { fill } = await startFill(t, source, { digest: digestOf(whole) });
  await t.rejects(readToEnd(fill.reader()), DigestMismatchError);
});

t.test('a broken source is told to the readers, and the file keeps what came', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB, failure: new Error('reset') });
  const { fill, file, abort } = await startFill(t, source);
  const got: Buffer[] = [];
  await t.rejects(readToEnd(fill.reader(), { got }), { message: 'reset' });
  t.equal(Buffer.concat(got).length, MIB, 'what had come was read');
  t.equal(fill.frontier, MIB);
  t.equal((await file.stat()).size, MIB);
  t.ok(abort.signal.aborted, 'the download is over');
});

t.test('what an earlier process left is hashed and not asked for', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { fill, written } = await startFill(t, source, { found: source.content.subarray(0, 2 * MIB) });
  t.ok((await readToEnd(fill.reader())).equals(source.content));
  t.equal(source.sent, SIZE - 2 * MIB);
  t.equal(written(), SIZE - 2 * MIB);
});

t.test('left bytes that are wrong are found', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { fill } = await startFill(t, source, { found: bytesOf(MIB, 9) });
  await t.rejects(readToEnd(fill.reader()), DigestMismatchError);
});

t.test('no room for content whose size upstream does not say', async (t) => {
  const asked: number[] = [];
  const makeRoom = async (bytes: number) => {
    asked.push(bytes);
    return bytes <= MIB;
  };
  const source = new Source(bytesOf(SIZE), { size: undefined });
  const passed: PassageStart[] = [];
  const pass = (start: PassageStart): never => {
    passed.push(start);
    throw new Error('not in this test');
  };
  const { fill, written } = await startFill(t, source, { makeRoom, pass });
  await t.rejects(readToEnd(fill.reader()));
  const [{ window } = { window: undefined }] = passed;
  t.equal(
    window?.start,
    MIB - HELD_BACK_BYTES,
    'what was not shown goes past the store, and all that follows',
  );
  t.equal(Buffer.concat(window?.chunks ?? []).length, HELD_BACK_BYTES + 16 * 1024);
  t.same(asked.slice(0, 2), [16 * 1024, 32 * 1024], 'asked for before it is written');
  t.equal(written(), MIB);
});

t.test('stopping keeps what is there', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const { fill } = await startFill(t, source);
  await readUpTo(fill.reader(), MIB);
  fill.stop();
  await t.rejects(fill.proven, StoreClosingError);
  t.equal(fill.frontier, MIB);
});
