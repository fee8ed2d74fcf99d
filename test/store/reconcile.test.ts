import { existsSync } from 'node:fs';
import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { sizeOnDisk } from '../../src/store/ledger.ts';
import { reconcile } from '../../src/store/reconcile.ts';
import { openRig, type Rig } from './rig.ts';
import { bytesOf } from './source.ts';

const never = new AbortController().signal;

async function placeFile({ layout }: Rig, digest: Digest, bytes: Buffer): Promise<void> {
  await mkdir(layout.shardOf(digest), { recursive: true });
  await writeFile(layout.blob(digest), bytes);
}

t.test('files without rows are taken in, rows without files forgotten', async (t) => {
  const rig = await openRig(t);
  const contents = [1, 2, 3, 4, 5, 6].map((seed) => bytesOf(seed * 1000, seed));
  const digests = contents.map((content, at) => digestOf(content, at % 2 === 0 ? 'sha256' : 'sha512'));
  const entries = contents.map((content, at) => ({ content, digest: digests[at] ?? digestOf('') }));
  for (const { digest, content } of entries.slice(0, 4)) await rig.store.put(digest, content);
  for (const { digest } of entries.slice(0, 2)) await unlink(rig.layout.blob(digest));
  for (const { digest, content } of entries.slice(4)) await placeFile(rig, digest, content);
  t.same(await reconcile(rig, never), { adopted: 2, forgotten: 2, damaged: 0, unknown: 0 });
  t.same(
    digests.map((digest) => rig.store.sizeOf(digest)),
    [undefined, undefined, 3000, 4000, 5000, 6000],
  );
  const bytes = [3000, 4000, 5000, 6000].reduce((sum, size) => sum + sizeOnDisk(size), 0);
  t.same([rig.store.objects, rig.store.ledger.usedBytes], [4, bytes]);
  t.same(
    await reconcile(rig, never),
    { adopted: 0, forgotten: 0, damaged: 0, unknown: 0 },
    'and now they agree',
  );
});

t.test('a lost catalog is made anew from the files', async (t) => {
  const rig = await openRig(t);
  const contents = Array.from({ length: 50 }, (_, at) => bytesOf(at * 100, at));
  for (const content of contents) await placeFile(rig, digestOf(content), content);
  t.equal((await reconcile(rig, never)).adopted, 50);
  t.ok((await rig.store.readAll(digestOf(contents[9] ?? ''), 1000))?.equals(contents[9] ?? Buffer.alloc(0)));
});

t.test('what is not what its name says is set aside, whatever it is', async (t) => {
  const rig = await openRig(t);
  const [good, cut] = [bytesOf(5000, 1), bytesOf(9000, 2)];
  await placeFile(rig, digestOf(good), good);
  await placeFile(rig, digestOf(cut), cut.subarray(0, 5000));
  const strange = [
    join(rig.layout.shardOf(digestOf(good)), 'README'),
    join(rig.layout.blobs, 'README'),
    join(rig.layout.blobs, 'sha256', 'README'),
    join(rig.layout.shardOf(digestOf(cut)), 'f'.repeat(250)),
  ];
  for (const path of strange) await writeFile(path, 'text');
  t.same(await reconcile(rig, never), { adopted: 1, forgotten: 0, damaged: 1, unknown: 4 });
  for (const path of [...strange, rig.layout.blob(digestOf(cut))]) t.notOk(existsSync(path), path);
  t.same(
    [rig.store.aside.size, rig.store.objects, rig.store.ledger.usedBytes],
    [5, 1, 8192 + 8192 + 4 * 4096],
  );
});

t.test('what is no file is reported and left alone', async (t) => {
  const rig = await openRig(t);
  const [asDirectory, asLink] = [digestOf('directory'), digestOf('link')];
  await mkdir(rig.layout.blob(asDirectory), { recursive: true });
  await mkdir(rig.layout.shardOf(asLink), { recursive: true });
  await symlink('/etc/hostname', rig.layout.blob(asLink));
  await mkdir(join(rig.layout.blobs, 'lost+found'));
  t.same(await reconcile(rig, never), { adopted: 0, forgotten: 0, damaged: 0, unknown: 0 });
  t.same(rig.told, ['found irregular', 'found irregular', 'found irregular']);
  t.equal(await rig.store.open(asLink), undefined);
  t.equal(await rig.store.open(asDirectory), undefined);
  t.equal(rig.told.length, 3, 'each is told of once');
});

t.test('files that no row vouches for count before they are proven', async (t) => {
  const rig = await openRig(t, { maxBytes: 20 * 4096 });
  const contents = Array.from({ length: 16 }, (_, at) => bytesOf(4096, at));
  for (const content of contents) await placeFile(rig, digestOf(content), content);
  const stop = new AbortController();
  const open = rig.store.judge.prove.bind(rig.store.judge);
  let most = 0;
  rig.store.judge.prove = (digest) => {
    most = Math.max(most, rig.store.ledger.usedBytes);
    return open(digest);
  };
  await reconcile(rig, stop.signal);
  t.equal(most, 16 * 4096, 'all of them at once');
  t.equal(rig.store.ledger.usedBytes, 16 * 4096, 'and each once in the end');
});

t.test('it ends when it is told to', async (t) => {
  const rig = await openRig(t);
  await t.rejects(reconcile(rig, AbortSignal.abort(new Error('stopping'))), { message: 'stopping' });
});

t.test('what is stored and removed meanwhile is not misjudged', async (t) => {
  const rig = await openRig(t);
  const contents = Array.from({ length: 60 }, (_, at) => bytesOf(at + 1, at));
  for (const content of contents.slice(0, 30)) await rig.store.put(digestOf(content), content);
  const running = reconcile(rig, never);
  for (const [at, content] of contents.entries()) {
    if (at < 30) await rig.store.remove(digestOf(content), 'requested');
    else await rig.store.put(digestOf(content), content);
  }
  await running;
  t.same([rig.store.objects, rig.store.ledger.usedBytes], [30, 30 * 4096]);
});
