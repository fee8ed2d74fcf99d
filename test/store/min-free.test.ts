import t from 'tap';
import { MinFree } from '../../src/store/min-free.ts';

t.test('what is lacking is evicted; enough is enough', async (t) => {
  const minFree = new MinFree();
  t.equal(minFree.decide(100, -10), 0);
  t.equal(minFree.decide(100, 0), 0);
  t.equal(minFree.decide(90, 10), 10);
  minFree.evicted(90, 10);
  t.equal(minFree.decide(100, 0), 0);
  t.notOk(minFree.isInVain);
});

t.test('while evicting helps, it goes on at each look', async (t) => {
  const minFree = new MinFree();
  for (let look = 0; look < 10; look++) {
    t.equal(minFree.decide(50 + look * 8, 100), 100);
    minFree.evicted(50 + look * 8, 10);
  }
  t.notOk(minFree.isInVain);
});

t.test('what does not show up is not tried again at once, and ever more seldom', async (t) => {
  const minFree = new MinFree();
  const evictions: number[] = [];
  for (let look = 0; look < 200; look++) {
    if (minFree.decide(50, 10) === 0) continue;
    evictions.push(look);
    minFree.evicted(50, 10);
  }
  t.same(evictions, [0, 3, 8, 17, 34, 67, 100, 133, 166, 199]);
  t.ok(minFree.isInVain);
  t.equal(minFree.decide(60, 0), 0);
  t.notOk(minFree.isInVain, 'and all is forgotten when there is enough');
  t.equal(minFree.decide(50, 10), 10);
});
