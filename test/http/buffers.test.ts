import t from 'tap';
import { BufferPool } from '../../src/http/buffers.ts';

const KIB = 1024;

t.test('a few readers get large buffers, a thousand little memory', async (t) => {
  for (const isArriving of [false, true]) {
    const pool = new BufferPool();
    const leased = Array.from({ length: 2000 }, () => pool.lease(isArriving));
    t.equal(leased[0]?.length, isArriving ? 256 * KIB : 1024 * KIB);
    t.equal(leased[95]?.length, 256 * KIB, '48 readers have two each');
    t.equal(leased.at(-1)?.length, 64 * KIB);
    t.ok(leased.reduce((sum, { length }) => sum + length, 0) < 2000 * 64 * KIB + 40 * 1024 * KIB);
    for (const buffer of leased) pool.giveBack(buffer);
    t.equal(pool.lease(isArriving).length, leased[0]?.length, 'and large ones again when they are gone');
  }
});
