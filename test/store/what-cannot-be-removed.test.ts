import { existsSync } from 'node:fs';
import { mkdir, unlink } from 'node:fs/promises';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { StorageError } from '../../src/store/errors.ts';
import { MIB, openRig } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const contents = [1, 2, 3, 4].map((seed) => bytesOf(MIB, seed)) as [Buffer, Buffer, Buffer, Buffer];
const digests = contents.map((body) => digestOf(body)) as [Digest, Digest, Digest, Digest];

async function openFull(t: Parameters<typeof openRig>[0]) {
  const rig = await openRig(t, { maxBytes: 3 * MIB });
  for (const [position, body] of contents.slice(0, 3).entries()) {
    rig.clock.nowMs += 1;
    await rig.store.put(digests[position] ?? digestOf(body), body);
  }
  rig.clock.nowMs += 1;
  return rig;
}

t.test('one file that cannot be removed does not keep the others from being evicted', async (t) => {
  const { store, layout, told } = await openFull(t);
  const [stuck, next, last, wanted] = digests;
  await unlink(layout.blob(stuck));
  await mkdir(layout.blob(stuck));
  t.equal(await store.put(wanted, contents[3]), true);
  t.same(told, ['storage failed', 'removed budget']);
  t.same(
    [stuck, next, last, wanted].map((digest) => existsSync(layout.blob(digest))),
    [true, false, true, true],
  );
  t.same([store.objects, store.ledger.usedBytes, store.ledger.reservedBytes], [3, 3 * MIB, 0]);
});

t.test('where nothing at all can be removed, content is refused room without an end to it', async (t) => {
  const { store, layout } = await openFull(t);
  for (const digest of digests.slice(0, 3)) {
    await unlink(layout.blob(digest));
    await mkdir(layout.blob(digest));
  }
  t.equal(await store.put(digests[3], contents[3]), false);
  t.same([store.objects, store.ledger.usedBytes, store.ledger.reservedBytes], [3, 3 * MIB, 0]);
});

function request(source: Source) {
  const origin = { upstream: 'docker.io', repository: 'library/alpine' };
  return { digest: source.digest, origin, open: source.open, isAboutRepository: () => true };
}

for (const [name, maxBytes] of [
  ['with room', 64 * MIB],
  ['with a store that is full', 3 * MIB],
] as const) {
  t.test(`a catalog that takes no writes, ${name}: content is served, nothing raw is thrown`, async (t) => {
    const { store, fills, database } = await openRig(t, { maxBytes });
    for (const [position, body] of contents.slice(0, 3).entries())
      await store.put(digests[position] ?? digestOf(body), body);
    for (const digest of digests) store.use(digest); // uses that wait to be written
    database.exec('PRAGMA query_only = ON');
    const put = await store.put(digests[3], contents[3]).catch((error: unknown) => error);
    t.ok(put === false || put instanceof StorageError, 'it is said that content is not stored');

    const source = new Source(bytesOf(2 * MIB, 9));
    const start = await fills.begin(request(source));
    if (start.kind === 'fill') {
      t.ok((await readToEnd(start.fill.reader())).equals(source.content), 'who reads it gets it');
      t.equal(await start.ended, 'unstored');
    } else {
      t.equal(start.kind, 'bypass');
      if (start.kind === 'bypass') start.passage.reader().close();
    }
    t.equal(store.ledger.reservedBytes, 0);

    database.exec('PRAGMA query_only = OFF');
    const again = await fills.begin(request(source));
    t.equal(again.kind === 'fill' && (await again.ended), 'stored', 'and goes on when it can');
    t.equal(store.sizeOf(source.digest), 2 * MIB);
    t.ok(store.ledger.usedBytes <= maxBytes);
  });
}

t.test('a removal that the catalog could not note is ended when it can', async (t) => {
  const { store, index, database, told } = await openRig(t);
  const body = bytesOf(MIB);
  const digest = digestOf(body);
  await store.put(digest, body);
  database.exec('PRAGMA query_only = ON');
  await t.rejects(store.remove(digest, 'budget'), StorageError);
  await store.finishRemovals();
  t.equal(index.sizeOf(digest), MIB, 'not yet');
  database.exec('PRAGMA query_only = OFF');
  await store.finishRemovals();
  t.same([index.sizeOf(digest), store.ledger.usedBytes, store.objects], [undefined, 0, 0]);
  t.equal(told.filter((what) => what === 'removed budget').length, 1);

  database.exec('PRAGMA query_only = ON');
  await store.put(digest, body).catch(() => undefined);
  database.exec('PRAGMA query_only = OFF');
  await store.put(digest, body);
  await store.finishRemovals();
  t.equal(store.sizeOf(digest), MIB, 'what came meanwhile stays');
});

t.test('a removal that is ended late does not take what was placed meanwhile', async (t) => {
  const { store, database } = await openRig(t);
  const body = bytesOf(MIB);
  const digest = digestOf(body);
  await store.put(digest, body);
  database.exec('PRAGMA query_only = ON');
  await t.rejects(store.remove(digest, 'budget'), StorageError);
  database.exec('PRAGMA query_only = OFF');
  t.equal(await store.open(digest), undefined, 'the file is gone');
  await Promise.all([store.put(digest, body), store.finishRemovals()]);
  t.equal(store.sizeOf(digest), MIB);
  await store.finishRemovals();
  t.equal((await store.readAll(digest, 2 * MIB))?.length, MIB);
});
