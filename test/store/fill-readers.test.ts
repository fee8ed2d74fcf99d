import { createHash } from 'node:crypto';
import t from 'tap';
import { isWaiting, MIB, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startFill } from './start-fill.ts';

const SIZE = 3 * MIB + 17;

t.test('a reader that is closed while it waits ends, and nobody else does', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: 0 });
  const { fill } = await startFill(t, source);
  const [leaving, staying] = [fill.reader(), fill.reader()];
  const left = leaving.read(Buffer.alloc(1), 0);
  const stayed = staying.read(Buffer.alloc(1), 0);
  t.equal(fill.readers, 2);
  leaving.close();
  leaving.close();
  t.equal(fill.readers, 1);
  await t.rejects(left, { message: /closed/ });
  await t.rejects(leaving.read(Buffer.alloc(1), 0), { message: /closed/ });
  t.ok(await isWaiting(stayed));
  source.allow();
  t.equal(await stayed, 1);
});

t.test('a reader that does not read holds nothing up', async (t) => {
  const source = new Source(bytesOf(SIZE));
  const { fill, file } = await startFill(t, source);
  const idle = fill.reader();
  t.equal(await fill.proven, SIZE);
  await fill.letGo();
  t.not(file.fd, -1, 'its file stays open');
  t.ok((await readUpTo(idle, SIZE)).equals(source.content), 'and it can read whenever it likes');
  idle.close();
  await turns();
  t.equal(file.fd, -1, 'closed when the last reader left');
});

t.test('a hundred readers at their own pace', async (t) => {
  const source = new Source(bytesOf(SIZE), { allowed: 0 });
  const { fill } = await startFill(t, source);
  const expected = createHash('sha256').update(source.content).digest('hex');
  const readers = Array.from({ length: 100 }, async (_, at) => {
    const got = await readToEnd(fill.reader(), { bufferBytes: 10_000 + at * 2_000 });
    return createHash('sha256').update(got).digest('hex');
  });
  t.equal(fill.readers, 100);
  for (let upTo = 0; upTo < SIZE; upTo += 200_000) {
    source.allow(upTo);
    await turns(1);
  }
  source.allow();
  t.same(new Set(await Promise.all(readers)), new Set([expected]));
  t.equal(source.sent, SIZE, 'it came once');
  t.equal(fill.readers, 0);
});
