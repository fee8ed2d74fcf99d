import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { Layout } from '../../src/store/layout.ts';
import { Ledger, sizeOnDisk } from '../../src/store/ledger.ts';
import { Partials } from '../../src/store/partials.ts';
import { MIB } from './rig.ts';
import { bytesOf } from './source.ts';

const origin = { upstream: 'docker.io', repository: 'library/alpine' };
const [first, second] = [digestOf('first'), digestOf('second', 'sha512')];

async function openPartials(directory: string, bootId: string | undefined = 'a run') {
  const layout = new Layout(directory);
  await layout.create();
  const evict = async () => 0;
  const freeBytes = async () => 1e12;
  const ledger = new Ledger({ maxBytes: 1e12, minFreeBytes: 0, freeBytes, evict });
  return {
    layout,
    ledger,
    partials: new Partials(
      layout,
      ledger,
      () => 1,
      () => (bootId === 'nameless' ? undefined : bootId),
    ),
  };
}

t.test('what an earlier process left is found, and leftovers are removed', async (t) => {
  const { layout, ledger, partials } = await openPartials(t.testdir());
  const files: [name: string, bytes: number][] = [
    [layout.partial(first), 2 * MIB],
    [layout.partial(second), MIB],
    [layout.partial(digestOf('small')), MIB - 1],
    [join(layout.fills, 'put-17-0'), 100],
    [join(layout.fills, 'probe-17'), 6],
    [join(layout.fills, 'sha256-short'), 100],
    [join(layout.fills, '.hidden'), 100],
    [join(layout.fills, 'x.json'), 100],
  ];
  for (const [path, bytes] of files) await writeFile(path, bytesOf(bytes));
  await partials.note(first, origin, 0);
  t.same(await partials.find(), [{ digest: first, origin }], 'not what has no note: who knows what it holds');
  t.equal((await readdir(layout.fills)).length, 2, 'a partial file and its note');
  t.equal(ledger.usedBytes, sizeOnDisk(2 * MIB), 'it counts');
});

t.test('when the machine has stopped meanwhile, only what was synced is believed', async (t) => {
  const directory = t.testdir();
  const before = await openPartials(directory, 'first run');
  await writeFile(before.layout.partial(first), bytesOf(3 * MIB));
  await before.partials.note(first, origin, 2 * MIB);
  await writeFile(before.layout.partial(second), bytesOf(3 * MIB));
  await before.partials.note(second, origin, 0);
  const { layout, ledger, partials } = await openPartials(directory, 'second run');
  t.same(await partials.find(), [{ digest: first, origin }]);
  t.equal((await stat(layout.partial(first))).size, 2 * MIB);
  t.equal((await readdir(layout.fills)).length, 2);
  t.equal(ledger.usedBytes, sizeOnDisk(2 * MIB));
  t.equal(partials.take(first), 2 * MIB);
});

t.test('a machine whose runs have no name is taken to have stopped', async (t) => {
  const { layout, partials } = await openPartials(t.testdir(), 'nameless');
  await writeFile(layout.partial(first), bytesOf(3 * MIB));
  await partials.note(first, origin, MIB);
  await partials.find();
  t.equal(partials.take(first), MIB);
});

t.test('a note whose partial file is gone is a leftover', async (t) => {
  const { layout, partials } = await openPartials(t.testdir());
  await partials.note(first, origin, 0);
  t.same(await partials.find(), []);
  t.same(await readdir(layout.fills), []);
});

t.test('what cannot be a leftover of ours does not stop the start', async (t) => {
  const { layout, partials } = await openPartials(t.testdir());
  await mkdir(join(layout.fills, 'lost+found'));
  await t.resolves(partials.find());
});

t.test('damaged notes are no notes', async (t) => {
  const { layout, partials } = await openPartials(t.testdir());
  for (const text of ['', '{', 'null', '[]', '"x"', '{"upstream":"docker.io"}']) {
    await writeFile(layout.partial(first), bytesOf(MIB));
    await writeFile(layout.partialNote(first), text);
    t.same(await partials.find(), [], text);
    t.same(await readdir(layout.fills), []);
  }
});

t.test('a partial is here or with a fill', async (t) => {
  const { layout, ledger, partials } = await openPartials(t.testdir());
  await writeFile(layout.partial(first), bytesOf(2 * MIB));
  t.equal(await partials.keep(first, 2 * MIB), true);
  t.equal(ledger.usedBytes, 2 * MIB);
  t.equal(partials.take(first), 2 * MIB);
  t.equal(partials.take(first), 0);
  t.equal(ledger.usedBytes, 0);
  t.equal((await readdir(layout.fills)).length, 1, 'the file is the fill’s now');
});

t.test('little is not worth keeping', async (t) => {
  const { layout, ledger, partials } = await openPartials(t.testdir());
  await writeFile(layout.partial(first), bytesOf(MIB - 1));
  await partials.note(first, origin, 0);
  t.equal(await partials.keep(first, MIB - 1), false);
  t.same([await readdir(layout.fills), ledger.usedBytes], [[], 0]);
});

t.test('the oldest makes room', async (t) => {
  const { layout, ledger, partials } = await openPartials(t.testdir());
  for (const digest of [first, second]) {
    await writeFile(layout.partial(digest), bytesOf(MIB));
    await partials.keep(digest, MIB);
  }
  t.equal(await partials.discardOldest(Number.POSITIVE_INFINITY), MIB);
  t.same([partials.take(first), ledger.usedBytes], [0, MIB]);
  t.equal(await partials.discardOldest(Number.POSITIVE_INFINITY), MIB);
  t.equal(await partials.discardOldest(Number.POSITIVE_INFINITY), 0);
  t.same([await readdir(layout.fills), ledger.usedBytes], [[], 0]);
});

t.test('no more than a thousand are kept', async (t) => {
  const { ledger, partials } = await openPartials(t.testdir());
  const digests = Array.from({ length: 1003 }, (_, at) => digestOf(String(at)));
  for (const digest of digests) await partials.keep(digest, MIB);
  t.equal(ledger.usedBytes, 1000 * MIB);
  t.same(
    digests.slice(0, 4).map((digest) => partials.take(digest)),
    [0, 0, 0, MIB],
  );
});

t.test('promoting moves the file and drops the note', async (t) => {
  const { layout, partials } = await openPartials(t.testdir());
  await writeFile(layout.partial(first), bytesOf(MIB));
  await partials.note(first, origin, 0);
  const target = join(layout.root, 'target');
  await partials.promote(first, target);
  t.same(await readdir(layout.fills), []);
  t.ok((await readdir(layout.root)).includes('target'));
});
