import fc from 'fast-check';
import t from 'tap';
import { RecentChunks } from '../../src/store/recent-chunks.ts';
import { bytesOf } from './source.ts';

t.test('what is copied is the content, and no more is kept than is allowed', async () => {
  const step = fc.record({
    bytes: fc.nat(300),
    keep: fc.nat(1000),
    position: fc.nat(4000),
    length: fc.nat(500),
  });
  fc.assert(
    fc.property(fc.nat(1000), fc.array(step, { maxLength: 30 }), (start, steps) => {
      const content = bytesOf(start + 30 * 300);
      const recent = new RecentChunks();
      recent.reset(start);
      let end = start;
      for (const { bytes, keep, position, length } of steps) {
        recent.push(content.subarray(end, end + bytes), keep);
        end += bytes;
        const target = Buffer.alloc(length, 0xee);
        const copied = recent.copy(target, position, length);
        if (copied > length || position + copied > Math.max(end, position)) throw new Error('too much');
        if (!target.subarray(0, copied).equals(content.subarray(position, position + copied)))
          throw new Error('other bytes');
        if (copied > 0 && position < end - keep) throw new Error('more is kept than is allowed');
        if (position < start && copied > 0) throw new Error('from before the start');
      }
    }),
    { numRuns: 500 },
  );
});

t.test('the end is there as far as it is kept', async (t) => {
  const recent = new RecentChunks();
  recent.reset(100);
  recent.push(Buffer.from('abc'), 6);
  recent.push(Buffer.from('def'), 6);
  const target = Buffer.alloc(6);
  t.equal(recent.copy(target, 100, 6), 6);
  t.equal(target.toString(), 'abcdef');
  recent.push(Buffer.from('g'), 6);
  t.equal(recent.copy(target, 102, 6), 0, 'the oldest chunk is gone');
  t.equal(recent.copy(target, 104, 6), 3);
  t.equal(target.toString('utf8', 0, 3), 'efg');
  t.equal(recent.copy(target, 107, 6), 0);
  recent.reset(0);
  t.equal(recent.copy(target, 104, 6), 0);
});
