import { existsSync } from 'node:fs';
import { mkdir, unlink, writeFile } from 'node:fs/promises';
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
  t.same(await reconcile(rig, never), { adopted: 2, forgotten: 2, unknown: 0 });
  t.same(
    digests.map((digest) => rig.store.sizeOf(digest)),
    [undefined, undefined, 3000, 4000, 5000, 6000],
  );
  const bytes = [3000, 4000, 5000, 6000].reduce((sum, size) => sum + sizeOnDisk(size), 0);
  t.same([rig.store.objects, rig.store.ledger.usedBytes], [4, bytes]);
  t.same(await reconcile(rig, never), { adopted: 0, forgotten: 0, unknown: 0 }, 'and now they agree');
});

t.test('a lost catalog is made anew from the files', async (t) => {
  const rig = await openRig(t);
  const contents = Array.from({ length: 50 }, (_, at) => bytesOf(at * 100, at));
  for (const content of contents) await placeFile(rig, digestOf(content), content);
  t.equal((await reconcile(rig, never)).adopted, 50);
  t.ok((await rig.store.readAll(digestOf(contents[9] ?? ''), 1000))?.equals(contents[9] ?? Buffer.alloc(0)));
});

t.test('files that are no blobs stay where they are', async (t) => {
  const rig = await openRig(t);
  const digest = digestOf('a');
  await placeFile(rig, digest, Buffer.from('a'));
  const strange = join(rig.layout.shardOf(digest), 'README');
  await writeFile(strange, 'text');
  t.same(await reconcile(rig, never), { adopted: 1, forgotten: 0, unknown: 1 });
  t.ok(existsSync(strange));
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
