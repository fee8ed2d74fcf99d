import { readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import t from 'tap';
import type { Digest } from '../../src/oci/digest.ts';
import { PartialRefusedError } from '../../src/store/errors.ts';
import type { Fill } from '../../src/store/fill.ts';
import type { OpenInput } from '../../src/store/fill-sources.ts';
import type { FillStart } from '../../src/store/fills.ts';
import { makeGate, until } from '../helpers/waiting.ts';
import { MIB, openRig } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const SIZE = 3 * MIB;

function request(digest: Digest, open: OpenInput, repository = 'library/alpine') {
  return { digest, origin: { upstream: 'docker.io', repository }, open, isAboutRepository: () => true };
}

function fillOf(start: FillStart): { fill: Fill; ended: Promise<string> } {
  if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
  return start;
}

t.test('two who wait for a failed fill to be cleared away share the next one', async (t) => {
  const { fills, store, layout } = await openRig(t);
  // Less than a partial that is worth keeping: clearing away takes a while, on the disk.
  const broken = new Source(bytesOf(SIZE), { allowed: 1000 });
  const next = new Source(broken.content);
  const asked = request(next.digest, next.open);
  const first = fillOf(await fills.begin(request(broken.digest, broken.open)));
  const both = first.fill.proven.then(
    () => {
      throw new Error('it did not fail');
    },
    async () => {
      t.same([first.fill.hasFailed, fills.size], [true, 1], 'it is being cleared away');
      return await Promise.all([fills.begin(asked), fills.begin(asked)]);
    },
  );
  broken.fail(new Error('reset'));
  const starts = await both;
  t.equal(await first.ended, 'failed');
  t.same(starts.map(({ joined }) => joined).sort(), [false, true]);
  t.equal(new Set(starts.map((start) => fillOf(start).fill)).size, 1, 'one fill');
  t.same(next.asked, [0], 'and one download');
  const bodies = await Promise.all(starts.map((start) => readToEnd(fillOf(start).fill.reader())));
  t.ok(bodies.every((body) => body.equals(next.content)));
  t.same(await Promise.all(starts.map((start) => fillOf(start).ended)), ['stored', 'stored']);
  t.same([fills.size, store.ledger.reservedBytes, store.objects], [0, 0, 1]);
  t.same(readdirSync(layout.fills), []);
});

t.test('who waits for a fill to be cleared away joins what began meanwhile', async (t) => {
  const { fills, layout } = await openRig(t);
  const broken = new Source(bytesOf(SIZE), { allowed: 1000 });
  const next = new Source(broken.content, { allowed: MIB });
  const asked = request(next.digest, next.open);
  const { fill } = fillOf(await fills.begin(request(broken.digest, broken.open)));
  const closing = makeGate(); // a disk on which closing a file takes long
  const letGo = fill.letGo.bind(fill);
  fill.letGo = () => closing.opened.then(letGo);
  const waiting = fill.proven.then(
    () => undefined,
    () => fills.begin(asked),
  );
  broken.fail(new Error('reset'));
  await until('the failed fill has left', () => fills.size === 0);
  const meanwhile = fillOf(await fills.begin(asked));
  closing.open();
  const start = await waiting;
  t.ok(start?.joined && fillOf(start).fill === meanwhile.fill, 'one fill');
  next.allow();
  t.equal(await meanwhile.ended, 'stored');
  t.same(next.asked, [0], 'and one download');
  t.same(readdirSync(layout.fills), []);
});

async function withPartial(t: Parameters<typeof openRig>[0]) {
  const rig = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB, failure: new Error('reset') });
  const first = fillOf(await rig.fills.begin(request(source.digest, source.open)));
  await first.ended;
  source.allow();
  return { ...rig, source };
}

t.test("another repository's 404 leaves the partial file", async (t) => {
  const { fills, store, layout, source } = await withPartial(t);
  const elsewhere = await fills.begin(request(source.digest, async () => undefined, 'library/other'));
  t.equal(elsewhere.kind, 'absent');
  t.equal((await stat(layout.partial(source.digest))).size, 2 * MIB);
  t.same([store.ledger.reservedBytes, store.ledger.usedBytes], [0, 2 * MIB]);
  const again = fillOf(await fills.begin(request(source.digest, source.open)));
  t.equal(await again.ended, 'stored');
  t.same(source.asked, [0, 2 * MIB], 'no byte twice');
});

t.test('a partial file that upstream refuses to continue is begun anew', async (t) => {
  const { fills, store, layout, source } = await withPartial(t);
  const offsets: number[] = [];
  const open: OpenInput = async ({ from, signal, purpose }) => {
    offsets.push(from);
    if (from > 0) throw new PartialRefusedError(new Error('416'));
    return await source.open({ from, signal, purpose });
  };
  const start = fillOf(await fills.begin(request(source.digest, open)));
  t.ok((await readToEnd(start.fill.reader())).equals(source.content));
  t.equal(await start.ended, 'stored');
  t.same(offsets, [2 * MIB, 0]);
  t.same([store.ledger.reservedBytes, store.ledger.usedBytes], [0, SIZE]);
  t.same(readdirSync(layout.fills), []);
});

t.test('a partial file that is longer than the content now is begun anew', async (t) => {
  const { fills, source, layout } = await withPartial(t);
  const offsets: number[] = [];
  const open: OpenInput = async ({ from, signal, purpose }) => {
    offsets.push(from);
    if (from > 0) return { size: MIB, chunks: source.input(from, signal).chunks };
    return await source.open({ from, signal, purpose });
  };
  const start = fillOf(await fills.begin(request(source.digest, open)));
  t.ok((await readToEnd(start.fill.reader())).equals(source.content));
  t.equal(await start.ended, 'stored');
  t.same(offsets, [2 * MIB, 0]);
  t.same(readdirSync(layout.fills), []);
});
