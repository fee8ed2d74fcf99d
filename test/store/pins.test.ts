import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import type { Digest } from '../../src/oci/digest.ts';
import type { Repository } from '../../src/oci/reference.ts';
import type { StoredContent } from '../../src/store/content-index.ts';
import { sizeOnDisk } from '../../src/store/ledger.ts';
import { type Hold, PinBudgetError, Pins } from '../../src/store/pins.ts';
import { openRig, type Rig } from './rig.ts';

const repository = { upstream: 'docker.io', name: 'library/app' as Repository };
const BLOCK = 4096;

const digestOf = (n: number): Digest => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
const content = (n: number, blocks = 1): StoredContent => ({ digest: digestOf(n), size: blocks * BLOCK });

function pinsOf({ database, index, clock }: Rig, maxBytes: () => number): Pins {
  return new Pins({ database, index, maxBytes, now: () => clock.nowMs });
}

function wishOf(reference: string, origin = '', platforms: 'all' | string[] = []) {
  return { repository, reference, origin, platforms, withReferrers: false };
}

t.test('content of several pins is let go with the last of them', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [a, b, shared] = [content(1), content(2), content(3)];
  for (const one of [a, b, shared]) rig.index.add(one, 1);
  pins.set(wishOf('a'), a.digest, [a, shared]);
  pins.set(wishOf('b'), b.digest, [b, shared]);
  t.equal(pins.bytes, 3 * BLOCK);
  t.equal(rig.index.pinnedBytes, 3 * BLOCK);
  t.ok(pins.delete(repository, 'a', ''));
  t.equal(rig.index.isPinned(a.digest), false);
  t.ok(rig.index.isPinned(shared.digest));
  t.ok(pins.delete(repository, 'b', ''));
  t.equal(rig.index.pinnedBytes + pins.bytes, 0);
  t.equal(pins.delete(repository, 'b', ''), false);
});

t.test('who pins the same reference by hand and by a list ends the one and not the other', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const a = content(1);
  rig.index.add(a, 1);
  pins.set(wishOf('a'), a.digest, [a]);
  pins.set(wishOf('a', '/etc/list'), a.digest, [a]);
  t.equal(pins.bytes, BLOCK);
  pins.delete(repository, 'a', '');
  t.ok(rig.index.isPinned(a.digest));
  t.same(
    pins.of(repository, 'a').map(({ origin }) => origin),
    ['/etc/list'],
  );
});

t.test('platforms of the same index come together; what comes with them stays asked for', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [root, amd64, arm64, signature] = [content(1), content(2), content(3), content(4)];
  pins.set({ ...wishOf('a', '', ['linux/amd64']), withReferrers: true }, root.digest, [
    root,
    amd64,
    signature,
  ]);
  pins.set(wishOf('a', '', ['linux/arm64']), root.digest, [root, arm64]);
  t.match(pins.of(repository, 'a'), [{ platforms: ['linux/amd64', 'linux/arm64'], withReferrers: true }]);
  t.equal(pins.bytes, 4 * BLOCK);
});

t.test('a tag that has moved keeps what it was until what it is fits, and then lets it go', async (t) => {
  const rig = await openRig(t);
  let maxBlocks = 3;
  const pins = pinsOf(rig, () => maxBlocks * BLOCK);
  const [old, next] = [content(1, 2), content(2, 2)];
  for (const one of [old, next]) rig.index.add(one, 1);
  pins.set(wishOf('a'), old.digest, [old]);
  const before = pins.list();
  const error = t.throws(() => pins.set(wishOf('a'), next.digest, [next])) as PinBudgetError;
  t.type(error, PinBudgetError);
  t.match(error, { wantedBytes: 2 * BLOCK, totalBytes: 4 * BLOCK, maxBytes: 3 * BLOCK });
  t.same(pins.list(), before);
  t.ok(rig.index.isPinned(old.digest));
  t.equal(rig.index.isPinned(next.digest), false);
  maxBlocks = 4;
  pins.set(wishOf('a'), next.digest, [next]);
  t.equal(rig.index.isPinned(old.digest), false);
  t.ok(rig.index.isPinned(next.digest));
  t.equal(pins.bytes, 2 * BLOCK);
});

t.test('a size that somebody lies about is counted as it was given, and given back so', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [small, large] = [content(1), content(1, 9)];
  pins.set(wishOf('a'), small.digest, [small]);
  pins.set(wishOf('b'), small.digest, [large]);
  t.equal(pins.bytes, 9 * BLOCK, 'the most that anybody says');
  pins.delete(repository, 'a', '');
  t.equal(pins.bytes, 9 * BLOCK);
  pins.delete(repository, 'b', '');
  t.equal(pins.bytes, 0);
});

t.test('what a long run held is let go of in steps, and what is missing is found in steps', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 10_000 * BLOCK);
  const many = Array.from({ length: 450 }, (_, n) => content(n));
  const hold = pins.hold();
  hold.add(many);
  const seen: number[] = [];
  const isDone = hold.release().then(() => true);
  while (!(await Promise.race([isDone, turn(false)]))) seen.push(pins.bytes);
  t.ok(
    seen.some((bytes) => bytes > 0),
    'others have their turn between',
  );
  t.equal(pins.bytes, 0);
  const [here, gone] = [content(1), content(2)];
  rig.index.add(here, 1);
  for (const one of [here, gone]) pins.set(wishOf(`tag-${one.digest.slice(-4)}`), one.digest, [one]);
  t.match(await pins.incomplete(), [{ digest: gone.digest }]);
  const late = pins.hold();
  late.add([here]);
  rig.database.close();
  await late.release();
});

t.test('holds end with the process, and pins do not', async (t) => {
  const rig = await openRig(t, { isOnDisk: true });
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [pinned, held] = [content(1), content(2)];
  for (const one of [pinned, held]) rig.index.add(one, 1);
  pins.set(wishOf('a'), pinned.digest, [pinned]);
  pins.hold().add([pinned, held]);
  t.equal(rig.index.pinnedBytes, 2 * BLOCK);
  rig.database.close();
  const again = await openRig(t, { isOnDisk: true }, rig.layout.directory);
  const left = pinsOf(again, () => 100 * BLOCK);
  t.equal(left.bytes, BLOCK);
  t.equal(again.index.pinnedBytes, BLOCK);
  t.equal(again.index.isPinned(held.digest), false);
});

t.test('a hold whose end the catalog cannot note ends when it can', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [a, b] = [content(1), content(2)];
  for (const one of [a, b]) rig.index.add(one, 1);
  const [first, second] = [pins.hold(), pins.hold()];
  first.add([a]);
  second.add([b]);
  rig.database.exec("CREATE TRIGGER refuse BEFORE DELETE ON pinned BEGIN SELECT RAISE(ABORT, 'full'); END");
  await first.release();
  t.ok(rig.index.isPinned(a.digest));
  await t.rejects(pins.finishReleases(), { name: 'StorageError' });
  rig.database.exec('DROP TRIGGER refuse');
  await pins.finishReleases();
  t.equal(rig.index.isPinned(a.digest), false);
  t.ok(rig.index.isPinned(b.digest), 'what is held still is');
  t.equal(pins.bytes, BLOCK);
});

t.test('a change that the catalog refuses leaves pins and counts as they were', async (t) => {
  const rig = await openRig(t);
  const pins = pinsOf(rig, () => 100 * BLOCK);
  const [a, b] = [content(1), content(2)];
  for (const one of [a, b]) rig.index.add(one, 1);
  pins.set(wishOf('a'), a.digest, [a]);
  rig.database.exec(
    `CREATE TRIGGER refuse BEFORE UPDATE ON blobs WHEN new.digest = '${b.digest}' BEGIN SELECT RAISE(ABORT, 'full'); END`,
  );
  t.throws(() => pins.set(wishOf('a'), b.digest, [b]), { name: 'StorageError' });
  t.match(pins.list(), [{ digest: a.digest }]);
  t.equal(pins.bytes, BLOCK);
  t.equal(rig.index.pinnedBytes, BLOCK);
  t.notOk(pins.names(b.digest));
});

const DIGESTS = 8;
const REFERENCES = ['a', 'b', 'c'];
const ORIGINS = ['', '/list'];
const MAX_BLOCKS = 12;

const contents = fc.uniqueArray(fc.nat(DIGESTS - 1), { minLength: 1, maxLength: 4 });
const at = { reference: fc.constantFrom(...REFERENCES), origin: fc.constantFrom(...ORIGINS) };
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), ...at, contents, blocks: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constant('delete' as const), ...at }),
  fc.record({ do: fc.constant('hold' as const), contents }),
  fc.record({ do: fc.constantFrom('release' as const, 'add', 'remove', 'use'), which: fc.nat(DIGESTS - 1) }),
  fc.record({ do: fc.constant('reopen' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What pins name, by whom: compared with the catalog's own counts after each step. */
class Model {
  readonly #rig: Rig;
  #pins: Pins;
  readonly #named = new Map<string, Map<Digest, number>>();
  #holds: { hold: Hold; key: string }[] = [];
  #sequence = 0;

  constructor(rig: Rig) {
    this.#rig = rig;
    this.#pins = pinsOf(rig, () => MAX_BLOCKS * BLOCK);
  }

  apply(step: Step): void {
    const { index } = this.#rig;
    if (step.do === 'set') {
      const all = step.contents.map((n) => content(n, step.blocks));
      const root = all[0]?.digest ?? digestOf(0);
      const key = `pin ${step.reference} ${step.origin}`;
      const old = this.#pins.of(repository, step.reference).find(({ origin }) => origin === step.origin);
      const isKept = old?.digest === root;
      this.#try(
        () => this.#pins.set(wishOf(step.reference, step.origin), root, all),
        () => {
          const kept = isKept ? this.#named.get(key) : undefined;
          this.#named.set(key, merged(kept, all));
        },
      );
    } else if (step.do === 'delete') {
      this.#pins.delete(repository, step.reference, step.origin);
      this.#named.delete(`pin ${step.reference} ${step.origin}`);
    } else if (step.do === 'hold') {
      const key = `hold ${this.#sequence++}`;
      const hold = this.#pins.hold();
      const all = step.contents.map((n) => content(n));
      this.#try(
        () => hold.add(all),
        () => this.#named.set(key, merged(undefined, all)),
      );
      this.#holds.push({ hold, key });
    } else if (step.do === 'release') {
      const [ended] = this.#holds.splice(step.which % (this.#holds.length || 1), 1);
      ended?.hold.release();
      if (ended) this.#named.delete(ended.key);
    } else if (step.do === 'add') index.add(content(step.which), 1);
    else if (step.do === 'remove') index.remove(digestOf(step.which));
    else if (step.do === 'use') index.use(digestOf(step.which), 2);
    else {
      for (const { key } of this.#holds) this.#named.delete(key);
      this.#holds = [];
      this.#pins = pinsOf(this.#rig, () => MAX_BLOCKS * BLOCK);
    }
  }

  check(): void {
    const sizes = new Map<Digest, number>();
    for (const named of this.#named.values())
      for (const [digest, size] of named) sizes.set(digest, Math.max(size, sizes.get(digest) ?? 0));
    const bytes = [...sizes.values()].reduce((sum, size) => sum + sizeOnDisk(size), 0);
    if (this.#pins.bytes !== bytes) throw new Error(`pins.bytes ${this.#pins.bytes}, not ${bytes}`);
    const { index } = this.#rig;
    let stored = 0;
    for (let n = 0; n < DIGESTS; n++) {
      const digest = digestOf(n);
      const size = index.sizeOf(digest);
      const isPinned = size !== undefined && sizes.has(digest);
      if (isPinned) stored += sizeOnDisk(size);
      if (index.isPinned(digest) !== isPinned) throw new Error(`${n} is pinned: ${!isPinned}`);
    }
    if (index.pinnedBytes !== stored) throw new Error(`pinnedBytes ${index.pinnedBytes}, not ${stored}`);
    const oldest = index.leastRecentlyUsed(100).map(({ digest }) => digest);
    if (oldest.some((digest) => sizes.has(digest))) throw new Error('what is pinned would be evicted');
  }

  #try(work: () => void, done: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof PinBudgetError)) throw error;
      return;
    }
    done();
  }
}

function merged(kept: Map<Digest, number> | undefined, all: readonly StoredContent[]): Map<Digest, number> {
  // The size that was noted first stays: a pin names a digest once.
  return new Map([...all.map(({ digest, size }) => [digest, size] as const), ...(kept ?? [])]);
}

t.test(
  'whatever happens, counts are what a recount gives, and nothing pinned is to be evicted',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const rig = await openRig({ testdir: () => t.testdir(), teardown: () => undefined });
        try {
          const model = new Model(rig);
          for (const step of steps) {
            model.apply(step);
            model.check();
          }
        } finally {
          rig.database.close();
        }
      }),
      { numRuns: 150 },
    );
  },
);
