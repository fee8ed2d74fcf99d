import fc from 'fast-check';
import t from 'tap';
import { ResizedError, StorageError } from '../../src/store/errors.ts';
import type { Passage } from '../../src/store/passage.ts';
import { HELD_BACK_BYTES, releasedBelow, Tail } from '../../src/store/tail.ts';
import { makeGate } from '../helpers/waiting.ts';
import { isWaiting, turns } from './rig.ts';

const SIZE = 1000;
const WRONG = new Error('it was wrong');

/** A tail over content whose every byte says which attempt it is of. */
function startTail({ size = SIZE as number | undefined, pause = (): Promise<unknown> => turns(0) } = {}) {
  const content = { attempt: 0 };
  let left = 0;
  const tail = new Tail({
    size,
    readAt: async (buffer, _, length) => {
      const half = Math.ceil(length / 2);
      buffer.fill(content.attempt, 0, half);
      await pause();
      buffer.fill(content.attempt, half, length);
      return length;
    },
    left: () => {
      left += 1;
    },
  });
  const restart = (newSize = size): void => {
    tail.restart(newSize, WRONG);
    content.attempt += 1;
  };
  return { tail, restart, left: () => left };
}

t.test('the last bytes are not shown, and of what is small nothing', async (t) => {
  t.equal(releasedBelow(100, HELD_BACK_BYTES + 10), 10);
  t.equal(releasedBelow(5, HELD_BACK_BYTES + 10), 5);
  t.equal(releasedBelow(100, HELD_BACK_BYTES), 0);
  t.equal(releasedBelow(HELD_BACK_BYTES + 7, undefined), 7);
  t.equal(releasedBelow(7, undefined), 0);
});

t.test('who has seen nothing goes on with the second attempt, who has is told', async (t) => {
  const { tail, restart } = startTail();
  const [seen, unseen, ahead] = [tail.reader(), tail.reader(), tail.reader()];
  tail.release(100);
  t.equal(await seen.read(Buffer.alloc(10), 0), 10);
  const waiting = seen.read(Buffer.alloc(10), 100);
  const far = ahead.read(Buffer.alloc(10), 500);
  waiting.catch(() => undefined);
  restart();
  await t.rejects(waiting, WRONG, 'also while it waits');
  await t.rejects(seen.read(Buffer.alloc(10), 10), WRONG, 'and ever after');
  t.ok(await isWaiting(far));
  tail.release(600);
  const buffer = Buffer.alloc(10);
  t.equal(await unseen.read(buffer, 0), 10);
  t.ok(buffer.equals(Buffer.alloc(10, 1)));
  t.equal(await far, 10);
  t.equal(await tail.reader().read(buffer, 0), 10, 'and so does who comes later');
  tail.complete(SIZE);
  t.equal(await unseen.read(buffer, SIZE), 0);
  await t.rejects(seen.read(buffer, SIZE), WRONG, 'it is no end either');
});

t.test('who was told another size is told that it was wrong', async (t) => {
  const { tail, restart } = startTail();
  const unseen = tail.reader();
  t.equal(unseen.size, SIZE);
  restart(SIZE + 1);
  await t.rejects(unseen.read(Buffer.alloc(10), 0), ResizedError);
  t.equal(tail.reader().size, SIZE + 1);
});

t.test('a read that is under way when the content begins anew is read again', async (t) => {
  const gate = makeGate();
  const { tail, restart } = startTail({ pause: () => gate.opened });
  const reader = tail.reader();
  tail.release(100);
  const buffer = Buffer.alloc(10);
  const reading = reader.read(buffer, 0);
  restart();
  gate.open();
  t.ok(await isWaiting(reading), 'what it has read may be of both');
  tail.release(100);
  t.equal(await reading, 10);
  t.ok(buffer.equals(Buffer.alloc(10, 1)));
});

t.test('a file that became shorter under a read is no failure, one that fails is', async (t) => {
  const failures: PromiseWithResolvers<number>[] = [];
  const readAt = (): Promise<number> => {
    const failing = Promise.withResolvers<number>();
    failures.push(failing);
    return failing.promise;
  };
  const tail = new Tail({ size: SIZE, left: () => undefined, readAt });
  tail.release(100);
  const reader = tail.reader();
  const reading = reader.read(Buffer.alloc(10), 0);
  tail.restart(SIZE, WRONG);
  failures[0]?.reject(new StorageError('reading', 'shorter'));
  t.ok(await isWaiting(reading));
  tail.release(50);
  await turns();
  failures[1]?.reject(new StorageError('reading', 'EIO'));
  await t.rejects(reading, { message: 'reading: EIO' });
});

t.test('little that arrives is shown, though no more follows', async (t) => {
  const { tail } = startTail();
  const reader = tail.reader();
  tail.release(100);
  t.equal(await reader.read(Buffer.alloc(100), 0), 100);
  const next = reader.read(Buffer.alloc(100), 100);
  const later = tail.reader();
  tail.release(101);
  t.equal(await next, 1);
  tail.release(103);
  t.equal(await later.read(Buffer.alloc(1000), 0), 101, 'and at once what others were shown');
  t.equal(await later.read(Buffer.alloc(1000), 101), 2);
  tail.restart(SIZE, WRONG);
  tail.fail(WRONG);
});

t.test('who goes on past a disk that refuses reads here up to where the passage begins', async (t) => {
  const { tail } = startTail();
  const reader = tail.reader();
  tail.release(100);
  t.equal(await reader.read(Buffer.alloc(100), 0), 100);
  tail.release(200);
  const begun: number[] = [];
  const passage = {
    reader: (position: number) => {
      begun.push(position);
      return startTail().tail.reader();
    },
  };
  tail.handOver(passage as Passage);
  t.equal(await reader.read(Buffer.alloc(500), 100), 100, 'also what it was not shown yet');
  t.same(begun, [200]);
});

t.test('readers are counted until they leave, once', async (t) => {
  const { tail, left } = startTail();
  const [first, second] = [tail.reader(), tail.reader()];
  const reading = first.read(Buffer.alloc(1), 0);
  t.equal(tail.readers, 2);
  first.close();
  first.close();
  t.same([tail.readers, left()], [1, 1]);
  await t.rejects(reading, { message: /closed/ });
  second.close();
  t.same([tail.readers, left()], [0, 2]);
});

t.test('whatever happens when: no reader has bytes of two attempts', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), bytes: fc.nat(400) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), bytes: fc.constant(0) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), bytes: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('join' as const), bytes: fc.nat(300) }) },
  );
  const pauses = fc.array(fc.nat(3), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), pauses, async (steps, pauses) => {
      let reads = 0;
      const { tail, restart } = startTail({ pause: () => turns(pauses[reads++ % pauses.length]) });
      const results: Promise<Set<number>>[] = [];
      let attempt = 0;
      for (const { kind, bytes } of steps) {
        if (kind === 'release') tail.release(Math.min(SIZE, tail.released + bytes));
        else if (kind === 'wait') await turns(bytes);
        else if (kind === 'join') results.push(attemptsSeen(tail, bytes));
        else {
          restart();
          attempt += 1;
        }
      }
      tail.complete(SIZE);
      for (const seen of await Promise.all(results)) {
        if (seen.size > 1 || ![...seen].every((one) => one === attempt))
          throw new Error(`attempts ${[...seen]} of ${attempt}`);
      }
    }),
    { numRuns: 200 },
  );
});

/** Reads to the end. @returns the attempts of which it has bytes; none where it was told that they were wrong */
async function attemptsSeen(tail: Tail, from: number): Promise<Set<number>> {
  const reader = tail.reader();
  const seen = new Set<number>();
  try {
    for (let position = from; ; ) {
      const buffer = Buffer.alloc(90);
      const bytes = await reader.read(buffer, position);
      if (bytes === 0) return seen;
      for (const byte of buffer.subarray(0, bytes)) seen.add(byte);
      position += bytes;
    }
  } catch (error) {
    if (error !== WRONG || seen.size === 0) throw error;
    return new Set();
  } finally {
    reader.close();
  }
}
