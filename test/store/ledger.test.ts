import t from 'tap';
import { BLOCK_BYTES, Ledger, type LedgerOptions, sizeOnDisk } from '../../src/store/ledger.ts';

const BLOCK = BLOCK_BYTES;

/** A ledger over a made-up store: each entry is one piece of content; the oldest goes first. */
function ledgerWith(contents: number[], options: Partial<LedgerOptions> = {}) {
  const evictions: number[] = [];
  const ledger: Ledger = new Ledger({
    maxBytes: 10 * BLOCK,
    minFreeBytes: 0,
    freeBytes: async () => 1000 * BLOCK,
    evict: async (bytes) => {
      evictions.push(bytes);
      let freed = 0;
      while (freed < bytes) {
        const size = contents.shift();
        if (size === undefined) break;
        ledger.deleting(size);
        await Promise.resolve();
        ledger.deleted(size);
        freed += sizeOnDisk(size);
      }
      return freed;
    },
    ...options,
  });
  for (const size of contents) ledger.found(size);
  return { ledger, contents, evictions };
}

t.test('content costs whole blocks', async (t) => {
  for (const [bytes, cost] of [
    [0, 0],
    [1, BLOCK],
    [BLOCK, BLOCK],
    [BLOCK + 1, 2 * BLOCK],
  ] as const) {
    t.equal(sizeOnDisk(bytes), cost);
  }
  const { ledger } = ledgerWith([1, 1]);
  t.equal(ledger.usedBytes, 2 * BLOCK);
});

t.test('a reservation ends once', async (t) => {
  const { ledger } = ledgerWith([]);
  const reservation = await ledger.reserve(3 * BLOCK);
  t.equal(ledger.reservedBytes, 3 * BLOCK);
  t.equal(reservation?.bytes, 3 * BLOCK);
  reservation?.release();
  reservation?.release();
  t.equal(ledger.reservedBytes, 0);
  const other = await ledger.reserve(BLOCK);
  other?.commit(BLOCK);
  other?.release();
  t.equal(ledger.reservedBytes, 0);
  t.equal(ledger.usedBytes, BLOCK);
});

t.test('a reservation grows by what it lacks, and never shrinks', async (t) => {
  const { ledger } = ledgerWith([]);
  const reservation = await ledger.reserve(2 * BLOCK);
  t.equal(await reservation?.growTo(BLOCK), true);
  t.equal(ledger.reservedBytes, 2 * BLOCK);
  t.equal(await reservation?.growTo(5 * BLOCK - 1), true);
  t.equal(ledger.reservedBytes, 5 * BLOCK);
  t.equal(await reservation?.growTo(11 * BLOCK), false, 'more than the budget');
  t.equal(ledger.reservedBytes, 5 * BLOCK, 'what it had stays');
});

t.test('what is larger than the budget evicts nothing', async (t) => {
  const { ledger, contents } = ledgerWith([BLOCK, BLOCK]);
  t.equal(await ledger.reserve(10 * BLOCK + 1), undefined);
  t.equal(contents.length, 2);
});

t.test('what cannot fit beside what is being written evicts nothing', async (t) => {
  const { ledger, contents } = ledgerWith([2 * BLOCK, 2 * BLOCK]);
  t.ok(await ledger.reserve(6 * BLOCK), 'a fill runs');
  t.equal(await ledger.reserve(5 * BLOCK), undefined, 'no eviction could make room beside it');
  t.equal(contents.length, 2, 'so the store is not emptied for it');
});

t.test('eviction takes no more than is needed', async (t) => {
  const { ledger, contents, evictions } = ledgerWith(Array(10).fill(BLOCK));
  t.ok(await ledger.reserve(BLOCK + 1));
  t.equal(contents.length, 8);
  t.same(evictions, [2 * BLOCK]);
  t.ok(ledger.usedBytes + ledger.reservedBytes <= ledger.maxBytes);
});

t.test('many reservations at once evict for their sum alone', async (t) => {
  const { ledger, contents } = ledgerWith(Array(10).fill(BLOCK));
  const reservations = await Promise.all(Array.from({ length: 7 }, () => ledger.reserve(BLOCK)));
  t.ok(reservations.every((reservation) => reservation !== undefined));
  t.equal(contents.length, 3);
  t.equal(ledger.reservedBytes, 7 * BLOCK);
});

t.test('what is being deleted still counts', async (t) => {
  const { ledger } = ledgerWith([]);
  ledger.found(8 * BLOCK);
  ledger.deleting(8 * BLOCK);
  t.equal(ledger.deletingBytes, 8 * BLOCK);
  t.equal(await ledger.reserve(3 * BLOCK), undefined);
  ledger.deleted(8 * BLOCK);
  t.ok(await ledger.reserve(3 * BLOCK));
});

t.test('minFree is kept, less what is promised and not yet written', async (t) => {
  let free = 10 * BLOCK;
  const options = { minFreeBytes: 4 * BLOCK, maxBytes: 100 * BLOCK, freeBytes: async () => free };
  const { ledger } = ledgerWith([], options);
  const first = await ledger.reserve(4 * BLOCK);
  t.ok(first);
  t.equal(await ledger.reserve(3 * BLOCK), undefined, 'two blocks are left');
  first?.wrote(4 * BLOCK);
  free -= 4 * BLOCK;
  t.equal(await ledger.reserve(3 * BLOCK), undefined, 'what is written is not counted twice');
  t.ok(await ledger.reserve(2 * BLOCK));
});

t.test('a file system that gives space back late does not cost the whole store', async (t) => {
  const options = { minFreeBytes: 5 * BLOCK, maxBytes: 100 * BLOCK, freeBytes: async () => 5 * BLOCK };
  const { ledger, contents } = ledgerWith(Array(20).fill(BLOCK), options);
  t.ok(await ledger.reserve(3 * BLOCK));
  t.equal(contents.length, 17);
});

t.test('a disk that cannot be asked fails one question, not the next', async (t) => {
  let isBroken = true;
  const freeBytes = async () => {
    if (isBroken) throw new Error('EIO');
    return 1000 * BLOCK;
  };
  const { ledger } = ledgerWith([], { freeBytes });
  await t.rejects(ledger.reserve(BLOCK), { message: 'EIO' });
  isBroken = false;
  t.ok(await ledger.reserve(BLOCK));
  t.equal(ledger.reservedBytes, BLOCK);
});

t.test('another budget holds from now on; what is too much goes when room is restored', async (t) => {
  const { ledger, contents } = ledgerWith([BLOCK, BLOCK, BLOCK, BLOCK]);
  ledger.limit({ maxBytes: 2 * BLOCK, minFreeBytes: 0 });
  t.equal(ledger.maxBytes, 2 * BLOCK);
  t.equal(await ledger.reserve(3 * BLOCK), undefined);
  await ledger.restore();
  t.equal(contents.length, 2);
  ledger.limit({ maxBytes: 20 * BLOCK, minFreeBytes: 2000 * BLOCK });
  t.equal(await ledger.reserve(BLOCK), undefined, 'so much is never free');
  ledger.limit({ maxBytes: 20 * BLOCK, minFreeBytes: 0 });
  t.ok(await ledger.reserve(10 * BLOCK));
  t.equal(contents.length, 2);
});
