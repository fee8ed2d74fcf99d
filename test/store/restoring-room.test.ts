import { execFileSync } from 'node:child_process';
import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { sizeOnDisk } from '../../src/store/ledger.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd } from './source.ts';

const contents = [1, 2, 3, 4, 5, 6].map((seed) => bytesOf(MIB, seed));
const digests = contents.map((content) => digestOf(content)) as [Digest, Digest, ...Digest[]];

async function fill({ store, clock }: Rig): Promise<void> {
  for (const [at, content] of contents.entries()) {
    clock.nowMs += 1;
    await store.put(digests[at] ?? digestOf(''), content);
  }
}

const storedIn = ({ store }: Rig): number[] =>
  digests.flatMap((digest, at) => (store.sizeOf(digest) === undefined ? [] : [at + 1]));

t.test('a budget that was lowered is reached', async (t) => {
  const first = await openRig(t, { isOnDisk: true });
  await fill(first);
  first.database.close();
  const rig = await openRig(t, { isOnDisk: true, maxBytes: 3 * MIB }, first.layout.directory);
  t.match(await rig.store.ledger.restore(), { budgetBytes: 3 * MIB, minFreeBytes: 0, isInVain: false });
  t.same(storedIn(rig), [4, 5, 6], 'from what was used least recently');
  t.equal(rig.store.ledger.usedBytes, 3 * MIB);
  t.match(await rig.store.ledger.restore(), { budgetBytes: 0 });
});

t.test('what running downloads have reserved counts too', async (t) => {
  const first = await openRig(t, { isOnDisk: true });
  await fill(first);
  first.database.close();
  const rig = await openRig(t, { isOnDisk: true, maxBytes: 6 * MIB }, first.layout.directory);
  const reservation = await rig.store.ledger.reserve(2 * MIB);
  t.ok(reservation);
  t.match(await rig.store.ledger.restore(), { budgetBytes: 0 });
  t.same(storedIn(rig), [3, 4, 5, 6]);
});

async function openSmall(t: Test, minFreeBytes: number): Promise<{ rig: Rig; ballast: string }> {
  const directory = await makeDirectory(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory]);
  t.teardown(() => execFileSync('umount', ['-l', directory]));
  return { rig: await openRig(t, { minFreeBytes }, directory), ballast: join(directory, 'ballast') };
}

t.test('minFree is kept when others fill the disk', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const { rig, ballast } = await openSmall(t, 4 * MIB);
  await fill(rig);
  t.match(await rig.store.ledger.restore(), { minFreeBytes: 0 });
  await writeFile(ballast, Buffer.alloc(8 * MIB));
  const restored = await rig.store.ledger.restore();
  t.ok(restored.minFreeBytes >= 2 * MIB && restored.minFreeBytes <= 3 * MIB, `${restored.minFreeBytes}`);
  t.ok((await rig.store.freeBytes()) >= 4 * MIB);
  t.ok(rig.told.length > 0 && rig.told.every((said) => said === 'removed minFree'));
  t.match(await rig.store.ledger.restore(), { minFreeBytes: 0, isInVain: false });
  t.same(storedIn(rig).at(-1), 6, 'what was used last stays');
});

t.test('files that are still read give their space back later: no more goes for it', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const { rig, ballast } = await openSmall(t, 4 * MIB);
  await fill(rig);
  const readers = await Promise.all(digests.map((digest) => rig.store.open(digest)));
  await writeFile(ballast, Buffer.alloc(8 * MIB));
  await rig.store.ledger.restore();
  const left = storedIn(rig);
  t.ok(left.length >= 3);
  t.ok((await rig.store.freeBytes()) < 4 * MIB, 'they still take it');
  for (let look = 0; look < 20; look++) t.match(await rig.store.ledger.restore(), { minFreeBytes: 0 });
  t.same(storedIn(rig), left);
  for (const [at, reader] of readers.entries()) {
    const content = contents[at] ?? Buffer.alloc(0);
    t.ok(reader && (await readToEnd(reader)).equals(content), 'readers are undisturbed');
  }
});

t.test(
  'a disk that others fill faster than room is made does not cost the whole store at once',
  async (t) => {
    if (!needs(t, 'root', 'mount', 'umount')) return;
    const { rig, ballast } = await openSmall(t, 2 * MIB);
    await fill(rig);
    for (let look = 0; look < 3; look++) {
      await writeFile(`${ballast}-${look}`, Buffer.alloc(16 * MIB)).catch(() => undefined); // as much as there is
      await rig.store.ledger.restore();
    }
    t.ok(storedIn(rig).length >= 2, String(storedIn(rig)));
    for (let look = 0; look < 3; look++) await rm(`${ballast}-${look}`);
    t.match(await rig.store.ledger.restore(), { minFreeBytes: 0, isInVain: false });
  },
);

t.test('content costs on disk what the ledger counts', async (t) => {
  const rig = await openRig(t);
  for (const bytes of [1, 100, 4095, 4096, 4097, 10_000, 65_536, MIB + 1, 3 * MIB]) {
    const content = bytesOf(bytes, bytes);
    await rig.store.put(digestOf(content), content);
    const { blocks } = await stat(rig.layout.blob(digestOf(content)));
    t.ok(blocks * 512 <= sizeOnDisk(bytes), `${bytes} bytes take ${blocks * 512}`);
  }
});
