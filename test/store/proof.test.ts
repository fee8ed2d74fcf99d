import { existsSync, readdirSync } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { BLOCK_BYTES } from '../../src/store/ledger.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const body = bytesOf(3 * MIB);
const digest = digestOf(body);

async function placeFile({ layout }: Rig, of: Digest, bytes: Buffer): Promise<void> {
  await mkdir(layout.shardOf(of), { recursive: true });
  await writeFile(layout.blob(of), bytes);
}

t.test('a file without a row is served after it was proven', async (t) => {
  const rig = await openRig(t);
  await placeFile(rig, digest, body);
  const readers = await Promise.all(Array.from({ length: 20 }, () => rig.store.open(digest)));
  for (const reader of readers) t.ok(reader && (await readToEnd(reader)).equals(body));
  t.same([rig.store.sizeOf(digest), rig.store.objects, rig.store.ledger.usedBytes], [3 * MIB, 1, 3 * MIB]);
  t.same(rig.told, []);
});

for (const [name, bytes] of [
  ['cut short', body.subarray(0, 2 * MIB)],
  ['with other bytes', bytesOf(3 * MIB, 2)],
  ['empty', Buffer.alloc(0)],
] as const) {
  t.test(`a file without a row, ${name}, is set aside and never served`, async (t) => {
    const rig = await openRig(t);
    await placeFile(rig, digest, bytes);
    const found = await Promise.all(Array.from({ length: 20 }, () => rig.store.open(digest)));
    t.ok(found.every((reader) => reader === undefined));
    t.same(rig.told, ['found damaged'], 'judged once for all who asked');
    t.notOk(existsSync(rig.layout.blob(digest)));
    t.equal(readdirSync(rig.layout.aside).length, 1);
    await rig.store.put(digest, body);
    const again = await rig.store.open(digest);
    t.ok(again && (await readToEnd(again)).equals(body), 'and it is stored anew');
  });
}

t.test('a fill takes the place of what was wrong', async (t) => {
  const rig = await openRig(t);
  const source = new Source(body);
  await placeFile(rig, digest, body.subarray(0, MIB));
  const origin = { upstream: 'docker.io', repository: 'library/alpine' };
  const request = { digest, origin, open: source.open, isAboutRepository: () => true };
  const start = await rig.fills.begin(request);
  t.equal(start.kind === 'fill' && (await start.ended), 'stored');
  const reader = await rig.store.open(digest);
  t.ok(reader && (await readToEnd(reader)).equals(body));
  t.equal(rig.store.ledger.usedBytes, 4 * MIB, 'with what was set aside');
});

t.test('content that is placed while its leftover is hashed is not set aside', async (t) => {
  const rig = await openRig(t);
  await placeFile(rig, digest, bytesOf(3 * MIB, 2));
  const opening = rig.store.open(digest);
  t.equal(await rig.store.put(digest, body), true);
  const reader = await opening;
  if (reader) t.ok((await readToEnd(reader)).equals(body));
  t.ok((await rig.store.readAll(digest, 3 * MIB))?.equals(body));
});

t.test('a file that became shorter under a reader is set aside, and fetched again', async (t) => {
  const rig = await openRig(t);
  await rig.store.put(digest, body);
  const reader = await rig.store.open(digest);
  await truncate(rig.layout.blob(digest), MIB);
  await t.rejects(async () => reader && (await readToEnd(reader)), { message: /shorter/ });
  t.equal(await rig.store.open(digest), undefined, 'whoever asks next');
  t.same([rig.store.sizeOf(digest), rig.store.ledger.usedBytes], [undefined, MIB]);
});

t.test(
  'wrong content that the disk does not let go is not served, and not hashed at each question',
  async (t) => {
    const rig = await openRig(t);
    await rig.store.put(digest, body);
    await writeFile(rig.layout.blob(digest), bytesOf(3 * MIB, 2));

    rig.store.aside.take = async () => {
      throw new Error('EROFS');
    };
    rig.database.exec('PRAGMA query_only = ON'); // nor can the catalog be written
    t.equal(await rig.store.readAll(digest, 3 * MIB), undefined);
    t.equal(rig.store.sizeOf(digest), 3 * MIB, 'the row is still there');
    t.equal(await rig.store.open(digest), undefined, 'and does not count');
    rig.database.exec('PRAGMA query_only = OFF');
    t.equal(await rig.store.open(digest), undefined, 'nor when it is gone');
    t.equal(rig.store.sizeOf(digest), undefined);
  },
);

t.test('what was set aside goes first when room is needed', async (t) => {
  const rig = await openRig(t, { maxBytes: 10 * BLOCK_BYTES });
  const [kept, wrong, added] = [1, 2, 3].map((seed) => bytesOf(4 * BLOCK_BYTES, seed)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  await rig.store.put(digestOf(kept), kept);
  await placeFile(rig, digestOf(wrong), wrong.subarray(1));
  t.equal(await rig.store.open(digestOf(wrong)), undefined);
  t.equal(rig.store.ledger.usedBytes, 8 * BLOCK_BYTES);
  t.equal(await rig.store.put(digestOf(added), added), true);
  t.same([rig.store.aside.size, readdirSync(rig.layout.aside)], [0, []]);
  t.equal(rig.store.sizeOf(digestOf(kept)), kept.length, 'content stays');
});

t.test('what was set aside is found and counted at the next start', async (t) => {
  const first = await openRig(t);
  await placeFile(first, digest, body.subarray(1));
  await first.store.open(digest);
  const second = await openRig(t, {}, first.layout.directory);
  await second.store.aside.find();
  t.same([second.store.aside.size, second.store.ledger.usedBytes], [1, 3 * MIB]);
});

t.test('no more than so many files are kept aside', async (t) => {
  const rig = await openRig(t);
  await mkdir(rig.layout.shardOf(digest), { recursive: true });
  for (let file = 0; file < 1010; file++) {
    const path = `${rig.layout.shardOf(digest)}/${file}`;
    await writeFile(path, 'x');
    await rig.store.judge.setAsideUnknown(path);
  }
  t.same([rig.store.aside.size, readdirSync(rig.layout.aside).length], [1000, 1000]);
  t.equal(rig.store.ledger.usedBytes, 1000 * BLOCK_BYTES);
});
