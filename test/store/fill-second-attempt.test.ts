import fc from 'fast-check';
import t from 'tap';
import { DigestMismatchError, NoRoomError, OversizeError, ResizedError } from '../../src/store/errors.ts';
import { until } from '../helpers/waiting.ts';
import { isWaiting, MIB, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';
import { startFill } from './start-fill.ts';

const SIZE = 2 * MIB + 17;

t.test('who has read nothing gets the second attempt unnoticed, who has is told', async (t) => {
  const good = new Source(bytesOf(SIZE));
  const bad = new Source(bytesOf(SIZE, 2), { allowed: MIB });
  const started = await startFill(t, bad, { digest: good.digest, again: good });
  const { fill, file, told, written } = started;
  const [seen, unseen, ahead] = [fill.reader(), fill.reader(), fill.reader()];
  await readUpTo(seen, 1000);
  const last = ahead.read(Buffer.alloc(10), SIZE - 10);
  t.ok(await isWaiting(last));
  bad.allow();
  t.equal(await last, 10);
  t.ok((await readToEnd(unseen)).equals(good.content));
  await t.rejects(seen.read(Buffer.alloc(10), 1000), DigestMismatchError);
  t.ok((await readToEnd(fill.reader())).equals(good.content), 'as does who comes later');
  t.equal(await fill.proven, SIZE);
  t.same([good.asked, told, written()], [[0], ['discarded'], SIZE]);
  t.equal((await file.stat()).size, SIZE);
});

t.test('what is longer than announced is asked for once more too', async (t) => {
  const good = new Source(bytesOf(SIZE));
  const bad = new Source(bytesOf(SIZE + MIB, 2), { size: SIZE });
  const { fill, file, told } = await startFill(t, bad, { digest: good.digest, again: good });
  t.ok((await readToEnd(fill.reader(), { from: SIZE - 10 })).equals(good.content.subarray(-10)));
  t.equal(await fill.proven, SIZE);
  t.equal((await file.stat()).size, SIZE);
  t.same(told, ['discarded']);
});

t.test('what an earlier process left, and was wrong, is asked for from the first byte', async (t) => {
  const good = new Source(bytesOf(SIZE));
  const { fill, told, written } = await startFill(t, good, { found: bytesOf(MIB, 9) });
  t.equal(await fill.proven, SIZE);
  t.ok((await readToEnd(fill.reader())).equals(good.content));
  t.same([good.asked, told], [[0], ['discarded']]);
  t.equal(written(), SIZE - MIB, 'what was there is given back, all is written anew');
});

t.test('another size the second time: room is made for it, and who was told the first is told', async (t) => {
  const good = new Source(bytesOf(SIZE + MIB));
  const bad = new Source(bytesOf(SIZE, 2), { allowed: MIB });
  const asked: number[] = [];
  const makeRoom = async (bytes: number): Promise<boolean> => asked.push(bytes) > 0;
  const { fill } = await startFill(t, bad, { digest: good.digest, again: good, makeRoom });
  const early = fill.reader();
  t.equal(early.size, SIZE);
  bad.allow();
  t.equal(await fill.proven, SIZE + MIB);
  await t.rejects(readToEnd(early), ResizedError);
  const late = fill.reader();
  t.equal(late.size, SIZE + MIB);
  t.ok((await readToEnd(late)).equals(good.content));
  t.same(asked, [SIZE + MIB]);
});

t.test('no room for the second attempt is the disk, not upstream', async (t) => {
  const good = new Source(bytesOf(SIZE));
  const bad = new Source(bytesOf(SIZE, 2));
  const makeRoom = async (): Promise<boolean> => false;
  const { fill, abort } = await startFill(t, bad, { digest: good.digest, again: good, makeRoom });
  await t.rejects(readToEnd(fill.reader(), { from: SIZE - 1 }), NoRoomError);
  await t.rejects(fill.proven, NoRoomError);
  t.ok(abort.signal.aborted, 'the second download is ended');
});

t.test('both attempts wrong: nobody has a complete response', async (t) => {
  const bad = new Source(bytesOf(SIZE, 2));
  const worse = new Source(bytesOf(SIZE, 3), { allowed: MIB });
  const { digest } = new Source(bytesOf(SIZE));
  const { fill, told } = await startFill(t, bad, { digest, again: worse });
  const unseen = fill.reader();
  await until('it is asked for once more', () => worse.asked.length > 0);
  const seen = fill.reader();
  t.ok((await readUpTo(seen, 1000)).equals(worse.content.subarray(0, 1000)));
  worse.allow();
  for (const reader of [unseen, seen, fill.reader()])
    await t.rejects(readToEnd(reader, { from: 1000 }), DigestMismatchError);
  t.match(await fill.proven.catch((error: unknown) => error), { found: worse.digest });
  t.same([worse.asked, told], [[0], ['discarded']], 'not asked for a third time');
});

t.test('wrong, and then gone or out of reach', async (t) => {
  const { digest } = new Source(bytesOf(SIZE));
  const bad = new Source(bytesOf(SIZE, 2), { size: SIZE - 1 });
  const breaking = new Source(bytesOf(SIZE), { allowed: MIB, failure: new Error('reset') });
  const { fill, told } = await startFill(t, bad, { digest, again: breaking });
  const got: Buffer[] = [];
  const failure: unknown = await readToEnd(fill.reader(), { got }).catch((error: unknown) => error);
  // It was told a size that is not true; who had read before the second attempt began was shown what is wrong, too.
  t.type(failure, got.length === 0 ? ResizedError : OversizeError);
  await t.rejects(fill.proven, { message: 'reset' });
  t.equal(fill.frontier, MIB, 'of the second attempt');
  t.same(told, ['discarded']);
});

t.test('the second attempt is shown while it comes', async (t) => {
  const good = new Source(bytesOf(SIZE), { allowed: MIB });
  const bad = new Source(bytesOf(SIZE, 2));
  const { fill } = await startFill(t, bad, { digest: good.digest, again: good });
  const ahead = fill.reader();
  const last = ahead.read(Buffer.alloc(10), SIZE - 10);
  await until('it is asked for once more', () => good.asked.length > 0);
  const reader = fill.reader();
  t.ok((await readUpTo(reader, MIB)).equals(good.content.subarray(0, MIB)));
  t.ok(await isWaiting(last));
  good.allow();
  t.equal(await last, 10);
  t.ok((await readToEnd(reader, { from: MIB })).equals(good.content.subarray(MIB)));
});

t.test('readers at any place when it begins anew: all of the second, or an error', async (t) => {
  const size = 300_000;
  const good = bytesOf(size);
  const reader = fc.record({ from: fc.nat(size), bufferBytes: fc.integer({ min: 900, max: 90_000 }) });
  const steps = fc.array(fc.nat(60_000), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(
      ...([fc.array(reader, { minLength: 1, maxLength: 8 }), steps, fc.nat(200_000)] as const),
      async (readers, steps, recentBytes) => {
        const again = new Source(good, { allowed: 0 });
        const bad = new Source(bytesOf(size, 2), { allowed: 0, chunkBytes: 20_000 });
        const { fill } = await startFill(t, bad, { digest: again.digest, again, recentBytes });
        const reading = readers.map(async ({ from, bufferBytes }) => {
          const got: Buffer[] = [];
          try {
            await readToEnd(fill.reader(), { from, bufferBytes, got });
            return Buffer.concat(got).equals(good.subarray(from));
          } catch (error) {
            return error instanceof DigestMismatchError && got.length > 0;
          }
        });
        for (const source of [bad, again]) {
          for (let upTo = 0, step = 0; upTo < size; step++) {
            upTo += 10_000 + (steps[step % steps.length] ?? 0);
            source.allow(upTo);
            await turns(1);
          }
          source.allow();
        }
        const isRight = await Promise.all(reading);
        await fill.letGo();
        if (isRight.includes(false)) throw new Error('other bytes, or an error without a reason');
      },
    ),
    { numRuns: 40 },
  );
});
