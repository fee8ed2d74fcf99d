import { mkdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { StorageError } from '../../src/store/errors.ts';
import type { Fill } from '../../src/store/fill.ts';
import type { FillStart } from '../../src/store/fills.ts';
import { MIB, openRig, type Rig, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';

const SIZE = 3 * MIB;
const origin = { upstream: 'docker.io', repository: 'library/alpine' };

function begin({ fills }: Rig, source: Source): Promise<FillStart> {
  return fills.begin({ digest: source.digest, origin, open: source.open, isAboutRepository: () => true });
}

function fillOf(start: FillStart): { fill: Fill; ended: Promise<string> } {
  if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
  return start;
}

/** Whatever comes of a start: the kind, or the name of what was thrown. */
async function outcomeOf(start: Promise<FillStart>): Promise<string> {
  try {
    const started = await start;
    if (started.kind === 'bypass') started.passage.reader().close();
    return started.kind;
  } catch (error) {
    return String(error);
  }
}

t.test('a fills directory that refuses is a bypass', async (t) => {
  const rig = await openRig(t);
  await rm(rig.layout.fills, { recursive: true });
  await writeFile(rig.layout.fills, 'no directory');
  const source = new Source(bytesOf(SIZE));
  t.equal(await outcomeOf(begin(rig, source)), 'bypass');
  t.match(rig.told, ['storage failed']);
  t.equal(rig.store.ledger.reservedBytes, 0);
  await unlink(rig.layout.fills);
  await mkdir(rig.layout.fills);
  const again = fillOf(await begin(rig, source));
  t.equal(await again.ended, 'stored', 'caching comes back with the disk');
});

t.test('a directory that disappears is a bypass', async (t) => {
  const rig = await openRig(t);
  await rm(rig.layout.root, { recursive: true });
  const source = new Source(bytesOf(SIZE));
  t.equal(await outcomeOf(begin(rig, source)), 'bypass');
  t.match(rig.told, ['storage failed']);
  t.equal(rig.store.ledger.reservedBytes, 0);
  await rig.layout.create();
  t.equal(await fillOf(await begin(rig, source)).ended, 'stored');
});

t.test('a blob that cannot be opened is a bypass', async (t) => {
  const rig = await openRig(t);
  const source = new Source(bytesOf(SIZE));
  await mkdir(join(rig.layout.blobs, 'sha256'), { recursive: true });
  await writeFile(rig.layout.shardOf(source.digest), 'no directory');
  t.equal(await outcomeOf(begin(rig, source)), 'bypass');
  t.match(rig.told, ['storage failed']);
});

t.test('a store that cannot take the finished file: its readers have it all the same', async (t) => {
  const rig = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const { fill, ended } = fillOf(await begin(rig, source));
  const reading = readToEnd(fill.reader());
  await mkdir(join(rig.layout.blobs, 'sha256'), { recursive: true });
  await writeFile(rig.layout.shardOf(source.digest), 'no directory');
  source.allow();
  t.ok((await reading).equals(source.content));
  t.equal(await ended, 'unstored');
  t.same(rig.told, ['storage failed', 'fill unstored']);
  t.equal(rig.store.ledger.reservedBytes, 0);
});

t.test('a partial file that disappeared is fetched from its start', async (t) => {
  const rig = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB, failure: new Error('reset') });
  await fillOf(await begin(rig, source)).ended;
  source.allow();
  await unlink(rig.layout.partial(source.digest));
  await outcomeOf(begin(rig, source)); // one client past the store would do
  await turns();
  const next = await begin(rig, source);
  t.match(next.kind, /fill|stored/, 'but not all of them until the next start');
  if (next.kind === 'fill') t.equal(await next.ended, 'stored');
  t.same([rig.store.ledger.usedBytes, rig.store.ledger.reservedBytes], [SIZE, 0]);
});

t.test('who asks again after a failure gets a new download, not the dead one', async (t) => {
  for (const failure of [new Error('reset'), new StorageError('writing', new Error('EIO'))]) {
    const rig = await openRig(t);
    const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB });
    const { fill } = fillOf(await begin(rig, source));
    const reader = fill.reader();
    await readUpTo(reader, 2 * MIB);
    const again = reader.read(Buffer.alloc(1), 2 * MIB).catch(async () => {
      source.allow();
      return await begin(rig, source); // at once, as a client that tries again does
    });
    source.fail(failure);
    const start = await again;
    reader.close();
    if (typeof start === 'number') throw new Error('the failure was not told');
    const { fill: next, ended } = fillOf(start);
    const got = await readToEnd(next.reader()).catch(String);
    t.ok(source.content.equals(Buffer.from(got)), `after: ${failure.message}`);
    await ended;
  }
});

t.test('a catalog that cannot be written costs a fill neither its readers nor the ledger', async (t) => {
  const rig = await openRig(t);
  const source = new Source(bytesOf(SIZE));
  rig.database.exec('PRAGMA query_only = ON');
  const { fill, ended } = fillOf(await begin(rig, source));
  t.ok((await readToEnd(fill.reader())).equals(source.content));
  await ended;
  rig.database.exec('PRAGMA query_only = OFF');
  const next = await begin(rig, source);
  if (next.kind === 'fill') await next.ended;
  t.equal(rig.store.sizeOf(source.digest), SIZE);
  const { usedBytes, reservedBytes } = rig.store.ledger;
  t.same([usedBytes, reservedBytes, rig.store.objects], [SIZE, 0, 1], 'the ledger says what is on disk');
});
