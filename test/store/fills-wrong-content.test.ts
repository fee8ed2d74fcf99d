import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { DigestMismatchError, ResizedError } from '../../src/store/errors.ts';
import type { OpenInput } from '../../src/store/fill-sources.ts';
import type { FillStart } from '../../src/store/fills.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';

const SIZE = 3 * MIB;
const good = new Source(bytesOf(SIZE));
const { digest } = good;

function begin({ fills }: Rig, open: OpenInput, repository = 'library/alpine') {
  const origin = { upstream: 'docker.io', repository };
  return fills.begin({ digest, origin, open, isAboutRepository: () => true });
}

function fillOf(start: FillStart) {
  if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
  return start;
}

/** Opens one after the other, each once. */
function inTurn(...sources: Source[]): OpenInput & { asked: string[] } {
  const asked: string[] = [];
  const open: OpenInput = async (options) => {
    asked.push(options.purpose);
    const source = sources.shift();
    if (!source) throw new Error('asked once more than it should be');
    return await source.open(options);
  };
  return Object.assign(open, { asked });
}

t.test('wrong and then right: it is stored, and the ledger says what is on disk', async (t) => {
  for (const badSize of [MIB, SIZE, SIZE + MIB]) {
    const rig = await openRig(t);
    const open = inTurn(new Source(bytesOf(badSize, 2)), new Source(good.content));
    const { fill, ended } = fillOf(await begin(rig, open));
    t.equal(await ended, 'stored');
    t.equal(fill.size, SIZE);
    t.same(open.asked, ['fill', 'again']);
    t.ok((await readFile(rig.layout.blob(digest))).equals(good.content));
    const { usedBytes, reservedBytes } = rig.store.ledger;
    t.same([usedBytes, reservedBytes, rig.store.objects], [SIZE, 0, 1]);
    t.ok(rig.told.includes('discarded') && rig.told.includes('fill stored'));
    t.same(readdirSync(rig.layout.fills), []);
  }
});

t.test('wrong twice: nothing is left of it', async (t) => {
  const rig = await openRig(t);
  const open = inTurn(new Source(bytesOf(SIZE, 2)), new Source(bytesOf(SIZE + MIB, 3)));
  const { fill, ended } = fillOf(await begin(rig, open));
  const reader = fill.reader();
  t.equal(await ended, 'mismatch');
  await t.rejects(readToEnd(reader), ResizedError);
  t.same([rig.store.ledger.usedBytes, rig.store.ledger.reservedBytes, rig.fills.size], [0, 0, 0]);
  t.same(readdirSync(rig.layout.fills), []);
  t.same(rig.told, ['discarded', 'fill mismatch']);
});

t.test('it is asked for again where another reader is proven to have it', async (t) => {
  const rig = await openRig(t);
  const bad = new Source(bytesOf(SIZE, 2), { allowed: MIB });
  const other = new Source(good.content);
  const { fill, ended } = fillOf(await begin(rig, inTurn(bad)));
  const joined = fillOf(await begin(rig, other.open, 'library/copy'));
  t.equal(joined.fill, fill);
  joined.sources.add({ upstream: 'docker.io', repository: 'library/copy' }, other.open);
  const [seen, unseen] = [fill.reader(), fill.reader()];
  await readUpTo(seen, 1000);
  bad.allow();
  t.equal(await ended, 'stored');
  t.ok((await readToEnd(unseen)).equals(good.content));
  await t.rejects(readToEnd(seen, { from: 1000 }), DigestMismatchError);
  t.same([bad.asked, other.asked], [[0], [0]]);
});

t.test('it breaks for good in the second attempt: what is kept is of that', async (t) => {
  const rig = await openRig(t);
  const breaking = new Source(good.content, { allowed: 2 * MIB, failure: new Error('reset') });
  const { ended } = fillOf(await begin(rig, inTurn(new Source(bytesOf(SIZE, 2)), breaking)));
  t.equal(await ended, 'failed');
  t.ok(existsSync(rig.layout.partial(digest)));
  t.equal(rig.store.ledger.usedBytes, 2 * MIB);
  const rest = new Source(good.content);
  const next = fillOf(await begin(rig, rest.open));
  t.equal(await next.ended, 'stored');
  t.same(rest.asked, [2 * MIB]);
  t.equal(rest.sent, SIZE - 2 * MIB);
});

t.test('it is gone the second time: it is as wrong as it was', async (t) => {
  const rig = await openRig(t);
  const bad = new Source(bytesOf(SIZE, 2));
  const opens: OpenInput[] = [bad.open, async () => undefined];
  const { ended } = fillOf(await begin(rig, async (options) => await opens.shift()?.(options)));
  t.equal(await ended, 'mismatch');
  t.same(readdirSync(rig.layout.fills), []);
  t.same([rig.store.ledger.usedBytes, rig.store.ledger.reservedBytes], [0, 0]);
});

t.test('the second attempt is larger than the budget: nothing of either is kept', async (t) => {
  const rig = await openRig(t, { maxBytes: 2 * MIB });
  const bad = new Source(bytesOf(MIB, 2));
  const { ended } = fillOf(await begin(rig, inTurn(bad, new Source(good.content))));
  t.equal(await ended, 'unstored');
  t.same(readdirSync(rig.layout.fills), []);
  t.same([rig.store.ledger.usedBytes, rig.store.ledger.reservedBytes], [0, 0]);
});
