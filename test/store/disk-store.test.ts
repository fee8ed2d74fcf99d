import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { DigestMismatchError, StorageError } from '../../src/store/errors.ts';
import { BLOCK_BYTES } from '../../src/store/ledger.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd } from './source.ts';

const body = bytesOf(10_000);
const digest = digestOf(body);

async function contentOf({ store }: Rig, of: Digest): Promise<Buffer | undefined> {
  const reader = await store.open(of);
  return reader && (await readToEnd(reader));
}

t.test('small content in and out', async (t) => {
  const rig = await openRig(t);
  const { store, layout } = rig;
  t.equal(await store.put(digest, body), true);
  t.equal(await store.put(digest, body), true, 'again');
  t.same([store.objects, store.ledger.usedBytes, store.ledger.reservedBytes], [1, 3 * BLOCK_BYTES, 0]);
  t.equal(store.sizeOf(digest), body.length);
  t.ok((await contentOf(rig, digest))?.equals(body));
  t.ok((await store.readAll(digest, body.length))?.equals(body));
  t.equal(await store.readAll(digest, body.length - 1), undefined, 'larger than it may be');
  t.equal(store.sizeOf(digest), body.length, 'and still there');
  t.same(readdirSync(layout.fills), []);
});

t.test('empty and sha512 content', async (t) => {
  const rig = await openRig(t);
  const [empty, long] = [digestOf(''), digestOf(body, 'sha512')];
  await rig.store.put(empty, Buffer.alloc(0));
  await rig.store.put(long, body);
  t.equal((await contentOf(rig, empty))?.length, 0);
  t.equal((await rig.store.readAll(empty, 0))?.length, 0);
  t.ok((await rig.store.readAll(long, MIB))?.equals(body));
});

t.test('what is not stored', async (t) => {
  const { store, told } = await openRig(t);
  t.equal(await store.open(digest), undefined);
  t.equal(await store.readAll(digest, MIB), undefined);
  t.equal(store.sizeOf(digest), undefined);
  t.equal(await store.remove(digest, 'requested'), 0);
  t.same(told, []);
});

t.test('wrong content is not taken', async (t) => {
  const { store, layout } = await openRig(t);
  await t.rejects(store.put(digest, bytesOf(10_000, 2)), DigestMismatchError);
  t.notOk(existsSync(layout.blob(digest)));
});

t.test('the same content put by many at once', async (t) => {
  const { store } = await openRig(t);
  const puts = await Promise.all(Array.from({ length: 20 }, () => store.put(digest, body)));
  t.ok(puts.every(Boolean));
  t.same([store.objects, store.ledger.usedBytes, store.ledger.reservedBytes], [1, 3 * BLOCK_BYTES, 0]);
});

t.test('a file of another size is set aside, never served', async (t) => {
  const { store, layout, told } = await openRig(t);
  await store.put(digest, body);
  await truncate(layout.blob(digest), 5_000);
  t.equal(await store.open(digest), undefined);
  t.same(told, ['removed damaged', 'found damaged']);
  t.same(
    [store.sizeOf(digest), store.ledger.usedBytes, existsSync(layout.blob(digest))],
    [undefined, 2 * BLOCK_BYTES, false],
    'what is set aside is counted',
  );
  await store.put(digest, body);
  t.ok((await store.readAll(digest, MIB))?.equals(body), 'and is stored anew');
});

t.test('a manifest whose bytes changed is set aside, never served', async (t) => {
  const { store, layout, told } = await openRig(t);
  await store.put(digest, body);
  await writeFile(layout.blob(digest), bytesOf(10_000, 2));
  t.equal(await store.readAll(digest, MIB), undefined);
  t.same(told, ['removed damaged', 'found damaged']);
  t.notOk(existsSync(layout.blob(digest)));
});

t.test('a row without a file is forgotten when it is met', async (t) => {
  const { store, layout, told } = await openRig(t);
  await store.put(digest, body);
  await unlink(layout.blob(digest));
  t.equal(await store.open(digest), undefined);
  t.same(told, ['removed missing', 'found missing']);
  t.same([store.sizeOf(digest), store.ledger.usedBytes, store.objects], [undefined, 0, 0]);
});

t.test('a file without a row is taken in when it is met', async (t) => {
  const rig = await openRig(t);
  await mkdir(rig.layout.shardOf(digest), { recursive: true });
  await writeFile(rig.layout.blob(digest), body);
  t.ok((await contentOf(rig, digest))?.equals(body));
  t.same(
    [rig.store.sizeOf(digest), rig.store.objects, rig.store.ledger.usedBytes],
    [10_000, 1, 3 * BLOCK_BYTES],
  );
});

t.test('a reader keeps what is removed under it', async (t) => {
  const { store, layout } = await openRig(t);
  await store.put(digest, body);
  const reader = await store.open(digest);
  t.equal(await store.remove(digest, 'requested'), body.length);
  t.notOk(existsSync(layout.blob(digest)));
  t.ok(reader && (await readToEnd(reader)).equals(body));
});

t.test('many removals at once are one', async (t) => {
  const { store, told } = await openRig(t);
  await store.put(digest, body);
  const sizes = await Promise.all([1, 2, 3].map(() => store.remove(digest, 'requested')));
  t.same(sizes, [body.length, 0, 0]);
  t.same([told, store.ledger.usedBytes, store.ledger.deletingBytes], [['removed requested'], 0, 0]);
});

t.test('room is made from what was used least recently', async (t) => {
  const { store, clock, told } = await openRig(t, { maxBytes: 10 * BLOCK_BYTES });
  const contents = [1, 2, 3, 4, 5].map((seed) => bytesOf(2 * BLOCK_BYTES, seed));
  const digests = contents.map((content) => digestOf(content));
  for (const [at, content] of contents.entries()) {
    clock.nowMs += 1000;
    await store.put(digests[at] ?? digest, content);
  }
  clock.nowMs += 1000;
  (await store.open(digests[0] ?? digest))?.close();
  clock.nowMs += 1000;
  store.use(digests[1] ?? digest);
  t.equal(await store.put(digest, body), true);
  t.same(
    digests.map((each) => store.sizeOf(each) !== undefined),
    [true, true, false, false, true],
  );
  t.same(told, ['removed budget', 'removed budget']);
  t.ok(store.ledger.usedBytes <= store.ledger.maxBytes);
});

t.test('what does not fit is not stored', async (t) => {
  const { store, layout } = await openRig(t, { maxBytes: 2 * BLOCK_BYTES });
  t.equal(await store.put(digest, body), false);
  t.same([store.ledger.reservedBytes, readdirSync(layout.fills)], [0, []]);
});

t.test('the budget counts what an earlier process stored', async (t) => {
  const first = await openRig(t, { isOnDisk: true });
  await first.store.put(digest, body);
  first.database.close();
  const { store } = await openRig(t, { isOnDisk: true }, first.layout.directory);
  t.same([store.objects, store.ledger.usedBytes, store.sizeOf(digest)], [1, 3 * BLOCK_BYTES, 10_000]);
});

t.test('a disk that refuses is a StorageError, told to the observer', async (t) => {
  const { store, layout, told } = await openRig(t);
  await rm(layout.fills, { recursive: true });
  await writeFile(layout.fills, 'no directory');
  await t.rejects(store.put(digest, body), StorageError);
  await t.rejects(store.probe(), StorageError);
  t.equal(store.ledger.reservedBytes, 0);
  await unlink(layout.fills);
  await mkdir(layout.fills);
  await store.probe();
  t.same(told, ['storage failed', 'storage failed', 'storage works']);
  t.same(readdirSync(layout.fills), []);
});

t.test('so is a directory that disappeared', async (t) => {
  const { store, layout, told } = await openRig(t);
  await rm(layout.root, { recursive: true });
  await t.rejects(store.put(digest, body), StorageError);
  t.same(told, ['storage failed']);
});

t.test('a catalog that cannot be written does not fail what can be read', async (t) => {
  const rig = await openRig(t);
  await rig.store.put(digest, body);
  rig.database.exec('PRAGMA query_only = ON');
  for (let use = 1; use < 4096; use++) rig.index.use(`sha256:${use}` as Digest, use);
  const got = await contentOf(rig, digest).catch(String);
  t.ok(Buffer.isBuffer(got) && got.equals(body), String(got).slice(0, 100));
});

t.test('reading a file that becomes shorter under the reader is no end of it', async (t) => {
  const { store, layout } = await openRig(t);
  await store.put(digest, body);
  const reader = await store.open(digest);
  await truncate(layout.blob(digest), 5_000);
  t.ok(reader && (await t.rejects(readToEnd(reader))));
});

t.test('what is stored can be read by the owner and the group alone', async (t) => {
  const { store, layout } = await openRig(t);
  await store.put(digest, body);
  t.equal((await stat(layout.blob(digest))).mode & 0o137, 0);
  t.equal((await stat(layout.shardOf(digest))).mode & 0o027, 0);
});
