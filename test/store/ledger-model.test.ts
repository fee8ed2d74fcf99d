import fc from 'fast-check';
import t from 'tap';
import { Ledger, type Reservation, sizeOnDisk } from '../../src/store/ledger.ts';

const MAX_BYTES = 100 * 4096;

type Step =
  | { do: 'reserve' | 'grow' | 'write' | 'commit'; which: number; bytes: number }
  | { do: 'release' | 'remove'; which: number };

const which = fc.nat(20);
const bytes = fc.oneof(fc.nat(30 * 4096), fc.nat(2 * MAX_BYTES));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('reserve' as const, 'grow', 'write', 'commit'), which, bytes }),
  fc.record({ do: fc.constantFrom('release' as const, 'remove'), which }),
);

/** A ledger with a store that is a list of sizes, and the sums that it must agree with. */
class Model {
  readonly stored: number[] = [];
  readonly open: { reservation: Reservation; bytes: number; written: number }[] = [];
  readonly ledger: Ledger;

  constructor() {
    this.ledger = new Ledger({
      maxBytes: MAX_BYTES,
      minFreeBytes: 0,
      freeBytes: async () => MAX_BYTES * 10,
      evict: async (wanted) => {
        let freed = 0;
        while (freed < wanted && this.stored.length > 0) freed += await this.remove(0);
        return freed;
      },
    });
  }

  async remove(at: number): Promise<number> {
    const [size] = this.stored.splice(at, 1);
    if (size === undefined) return 0;
    this.ledger.deleting(size);
    await Promise.resolve();
    this.check();
    this.ledger.deleted(size);
    return sizeOnDisk(size);
  }

  async apply(step: Step): Promise<void> {
    const chosen = this.open.length > 0 ? step.which % this.open.length : -1;
    const entry = this.open[chosen];
    switch (step.do) {
      case 'reserve': {
        const reservation = await this.ledger.reserve(step.bytes);
        if (reservation) this.open.push({ reservation, bytes: sizeOnDisk(step.bytes), written: 0 });
        return;
      }
      case 'grow':
        if (entry && (await entry.reservation.growTo(step.bytes)))
          entry.bytes = Math.max(entry.bytes, sizeOnDisk(step.bytes));
        return;
      case 'write':
        entry?.reservation.wrote(step.bytes);
        return;
      case 'commit':
        if (!entry) return;
        this.open.splice(chosen, 1);
        this.stored.push(Math.min(step.bytes, entry.bytes));
        entry.reservation.commit(Math.min(step.bytes, entry.bytes));
        return;
      case 'release':
        if (entry) this.open.splice(chosen, 1);
        entry?.reservation.release();
        return;
      case 'remove':
        if (this.stored.length > 0) await this.remove(step.which % this.stored.length);
    }
  }

  check(): void {
    const { usedBytes, reservedBytes, deletingBytes } = this.ledger;
    if (usedBytes + reservedBytes + deletingBytes > MAX_BYTES) throw new Error('over the budget');
    if (Math.min(usedBytes, reservedBytes, deletingBytes) < 0) throw new Error('negative');
  }

  checkSums(): void {
    const sum = (sizes: number[]): number => sizes.reduce((total, size) => total + size, 0);
    const reserved = sum(this.open.map((entry) => entry.bytes));
    const used = sum(this.stored.map(sizeOnDisk));
    if (this.ledger.usedBytes !== used) throw new Error(`used ${this.ledger.usedBytes}, not ${used}`);
    if (this.ledger.reservedBytes !== reserved)
      throw new Error(`reserved ${this.ledger.reservedBytes}, not ${reserved}`);
    if (this.ledger.deletingBytes !== 0) throw new Error('something is being deleted for ever');
  }
}

t.test('one after the other: the sums are right and the budget is kept', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const model = new Model();
      for (const step of steps) {
        await model.apply(step);
        model.check();
        model.checkSums();
      }
    }),
    { numRuns: 300 },
  );
});

t.test('many at once: the budget is kept, and nothing is lost', async () => {
  const sizes = fc.array(fc.nat(40 * 4096), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(sizes, sizes, async (stored, wanted) => {
      const model = new Model();
      for (const size of stored) {
        const reservation = await model.ledger.reserve(size);
        reservation?.commit(size);
        if (reservation) model.stored.push(size);
      }
      const askers = wanted.map(async (size) => {
        const reservation = await model.ledger.reserve(size);
        model.check();
        await reservation?.growTo(size * 2);
        model.check();
        reservation?.release();
      });
      await Promise.all(askers);
      model.checkSums();
      if (model.ledger.reservedBytes !== 0) throw new Error('a reservation leaked');
    }),
    { numRuns: 200 },
  );
});
