import fc from 'fast-check';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { DigestMismatchError } from '../../src/store/errors.ts';
import { HELD_BACK_BYTES } from '../../src/store/fill.ts';
import { passingReader } from '../../src/store/passing-reader.ts';
import { isWaiting, MIB } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';

const SIZE = MIB + 17;

function pass(source: Source, { digest = source.digest, stop = (): void => undefined } = {}) {
  return passingReader(digest, source.input(), stop);
}

t.test('content of any size from any position on', async () => {
  const pieces = fc.integer({ min: 300, max: 200_000 });
  await fc.assert(
    fc.asyncProperty(
      fc.nat(300_000),
      fc.nat(1000),
      pieces,
      pieces,
      async (size, part, chunkBytes, bufferBytes) => {
        const source = new Source(bytesOf(size), { chunkBytes });
        const startAt = Math.floor((size * part) / 1000);
        const got = await readToEnd(pass(source), { from: startAt, bufferBytes });
        if (!got.equals(source.content.subarray(startAt))) throw new Error('other bytes');
      },
    ),
    { numRuns: 80 },
  );
});

t.test('positions may leave something out, and never go back', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const reader = pass(source);
  for (const position of [0, 100, 100_000, 900_000, SIZE - 5]) {
    const buffer = Buffer.alloc(50);
    const bytes = await reader.read(buffer, position);
    t.ok(bytes > 0);
    t.ok(
      buffer.subarray(0, bytes).equals(source.content.subarray(position, position + bytes)),
      `at ${position}`,
    );
  }
  await t.rejects(reader.read(Buffer.alloc(1), 7));
});

t.test('a position past the end is the end, when the content is proven', async (t) => {
  const source = new Source(bytesOf(SIZE));
  t.equal(await pass(source).read(Buffer.alloc(10), SIZE + 10), 0);
  await t.rejects(
    pass(source, { digest: digestOf('x') }).read(Buffer.alloc(10), SIZE + 10),
    DigestMismatchError,
  );
});

t.test('sha512', async (t) => {
  const source = new Source(bytesOf(SIZE));
  t.ok((await readToEnd(pass(source, { digest: source.digestWith('sha512') }))).equals(source.content));
});

t.test('the last bytes are held back until the digest is proven', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: SIZE - 1 });
  const reader = pass(source);
  t.equal(reader.size, SIZE);
  await readUpTo(reader, SIZE - 1 - HELD_BACK_BYTES);
  const last = reader.read(Buffer.alloc(MIB), SIZE - 1 - HELD_BACK_BYTES);
  t.ok(await isWaiting(last));
  source.allow();
  t.ok((await last) > 0);
});

t.test('wrong content never completes, and stays wrong', async (t) => {
  for (const size of [10, HELD_BACK_BYTES, SIZE]) {
    const reader = pass(new Source(bytesOf(size)), { digest: digestOf('x') });
    const got: Buffer[] = [];
    const error: unknown = await readToEnd(reader, { got }).catch((error: unknown) => error);
    t.ok(error instanceof DigestMismatchError);
    const position = Buffer.concat(got).length;
    t.ok(position <= Math.max(0, size - HELD_BACK_BYTES));
    await t.rejects(reader.read(Buffer.alloc(10), position), 'asked again, it is no end either');
  }
});

t.test('a broken source is told, and is no end when asked again', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: MIB / 2, failure: new Error('reset') });
  const reader = pass(source);
  const got: Buffer[] = [];
  await t.rejects(readToEnd(reader, { got }), { message: 'reset' });
  await t.rejects(reader.read(Buffer.alloc(10), Buffer.concat(got).length));
});

t.test('what is announced is not given out before it is proven, however much more comes', async (t) => {
  const announced = HELD_BACK_BYTES * 2;
  const source = new Source(bytesOf(announced * 3), { size: announced });
  const reader = pass(source, { digest: digestOf('x') });
  const got: Buffer[] = [];
  await t.rejects(readToEnd(reader, { got }));
  t.ok(
    Buffer.concat(got).length < announced,
    `a client that was promised ${announced} bytes has no whole response`,
  );
});

t.test('closing ends the download', async (t) => {
  let stops = 0;
  const reader = pass(new Source(bytesOf(10)), {
    stop: () => {
      stops += 1;
    },
  });
  reader.close();
  t.equal(stops, 1);
  reader.close();
  await t.rejects(reader.read(Buffer.alloc(1), 0), 'a closed reader gives nothing');
});
