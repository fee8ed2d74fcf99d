import fc from 'fast-check';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { sizeOnDisk } from '../../src/store/ledger.ts';

function openIndex(t: { teardown(work: () => void): unknown }) {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  return { database, index: new ContentIndex(database) };
}

const digests = Array.from({ length: 8 }, (_, at) => digestOf(String(at)));
const digestAt = (at: number): Digest => digests[at] ?? digestOf('');

t.test('sizes', async (t) => {
  const { index } = openIndex(t);
  t.equal(index.sizeOf(digestAt(0)), undefined);
  index.add({ digest: digestAt(0), size: 5 }, 1);
  t.equal(index.sizeOf(digestAt(0)), 5);
  index.add({ digest: digestAt(0), size: 7 }, 2);
  t.equal(index.sizeOf(digestAt(0)), 7);
  index.add({ digest: digestAt(1), size: 2 ** 40 }, 2);
  t.equal(index.sizeOf(digestAt(1)), 2 ** 40);
  index.remove(digestAt(0));
  t.equal(index.sizeOf(digestAt(0)), undefined);
});

t.test('the order of last use is that of a list, batched or not', async () => {
  const use = fc.record({ which: fc.nat(7), flush: fc.boolean() });
  fc.assert(
    fc.property(fc.array(use, { maxLength: 40 }), (uses) => {
      const { database, index } = openIndex({ teardown: () => undefined });
      let now = 0;
      const order = [...digests];
      for (const digest of digests) index.add({ digest, size: 1 }, now++);
      for (const { which, flush } of uses) {
        const digest = digestAt(which);
        index.use(digest, now++);
        if (flush) index.flushUses();
        order.splice(order.indexOf(digest), 1);
        order.push(digest);
      }
      const found = index.leastRecentlyUsed(5).map(({ digest }) => digest);
      database.close();
      if (found.join() !== order.slice(0, 5).join()) throw new Error(`${found} is not ${order}`);
    }),
    { numRuns: 100 },
  );
});

t.test('many uses are written in batches, the memory for them bounded', async (t) => {
  const { database, index } = openIndex(t);
  const row = database.prepare('SELECT last_used FROM blobs WHERE digest = ?');
  index.add({ digest: digestAt(0), size: 1 }, 1);
  index.use(digestAt(0), 99);
  t.equal(row.get(digestAt(0))?.last_used, 1, 'not yet written');
  for (let at = 0; at < 4095; at++) index.use(`sha256:${at}` as Digest, at);
  t.equal(row.get(digestAt(0))?.last_used, 99);
});

t.test('a use that comes late does not turn back the clock', async (t) => {
  const { database, index } = openIndex(t);
  index.add({ digest: digestAt(0), size: 1 }, 50);
  index.use(digestAt(0), 10);
  index.flushUses();
  t.equal(database.prepare('SELECT last_used FROM blobs').get()?.last_used, 50);
});

t.test('a use of what is removed brings nothing back', async (t) => {
  const { index } = openIndex(t);
  index.add({ digest: digestAt(0), size: 1 }, 1);
  index.use(digestAt(0), 2);
  index.remove(digestAt(0));
  index.use(digestAt(0), 3);
  t.same(index.leastRecentlyUsed(10), []);
});

t.test('the digests below a prefix', async (t) => {
  const { index } = openIndex(t);
  const of = (algorithm: 'sha256' | 'sha512', start: string): Digest =>
    `${algorithm}:${start.padEnd(algorithm === 'sha256' ? 64 : 128, start.at(-1))}` as Digest;
  const all = [
    of('sha256', 'a9'),
    of('sha256', 'ab0'),
    of('sha256', 'abf'),
    of('sha256', 'ac'),
    of('sha512', 'ab'),
  ];
  for (const digest of all) index.add({ digest, size: 1 }, 1);
  const below = (prefix: string) => index.withPrefix(prefix).map(({ digest }) => digest);
  t.same(below('sha256:ab'), [all[1], all[2]]);
  t.same(below('sha512:ab'), [all[4]]);
  t.same(below('sha256:ff'), []);
});

t.test('the totals count blocks as the ledger does', async (t) => {
  const { index } = openIndex(t);
  t.same(index.totals(4096), { objects: 0, bytes: 0 });
  const sizes = [0, 1, 4095, 4096, 4097, 10_000, 5_000_000_000];
  for (const [at, size] of sizes.entries()) index.add({ digest: digestAt(at), size }, at);
  const bytes = sizes.reduce((sum, size) => sum + sizeOnDisk(size), 0);
  t.same(index.totals(4096), { objects: sizes.length, bytes });
});
