import t from 'tap';
import { emptyTotals, givenOf, hitRateOf, savedBytesOf, servedBytesOf } from '../src/totals.ts';

t.test(
  'the rate is about what was given: refusals and what is not there are no misses of the cache',
  async (t) => {
    const totals = emptyTotals();
    t.equal(hitRateOf(totals), undefined, 'nothing was asked for');
    Object.assign(totals.requests, { hit: 4, coalesced: 1, revalidated: 2, stale: 1, miss: 1, bypass: 1 });
    t.same(givenOf(totals), { hits: 8, fetched: 2 });
    t.equal(hitRateOf(totals), 0.8);
    Object.assign(totals.requests, { absent: 50, denied: 50, error: 50 });
    t.equal(hitRateOf(totals), 0.8);
  },
);

t.test('what was fetched for nobody yet is not saved', async (t) => {
  const totals = emptyTotals();
  totals.fetchedBytes = 100;
  t.equal(savedBytesOf(totals), 0);
  totals.servedBytes = { store: 300, fill: 100, bypass: 50 };
  t.equal(servedBytesOf(totals), 450);
  t.equal(savedBytesOf(totals), 350);
});
