import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { type VerifyEvent, type VerifySelection, verify } from '../../src/store/verify.ts';
import { needs } from '../helpers/engines/needs.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const contents = [1, 2, 3, 4, 5].map((seed) => bytesOf(MIB, seed)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];
const digests = contents.map((content) => digestOf(content)) as [Digest, Digest, Digest, Digest, Digest];

async function openFilled(t: Parameters<typeof openRig>[0]): Promise<Rig> {
  const rig = await openRig(t);
  for (const [at, content] of contents.entries()) await rig.store.put(digests[at] ?? digestOf(''), content);
  return rig;
}

async function run(rig: Rig, selection?: VerifySelection) {
  const events: VerifyEvent[] = [];
  for await (const event of verify(rig, selection, () => performance.now())) events.push(event);
  const report = events.at(-1);
  if (report?.kind !== 'report') throw new Error('there is no report');
  const findings = events.filter((event) => event.kind === 'finding');
  return { report, findings, events };
}

t.test('a store that is as it should be', async (t) => {
  const rig = await openFilled(t);
  const { report, findings, events } = await run(rig);
  t.match(report, { objects: 5, bytes: 5 * MIB, adopted: 0, findings: {}, isClean: true });
  t.equal(report.absent, undefined);
  t.same(findings, []);
  const last = events.at(-2);
  t.match(last, { kind: 'progress', bytes: 5 * MIB, totalBytes: 5 * MIB, objects: 5, totalObjects: 5 });
  t.same(rig.told, []);
});

t.test('everything that can be wrong, each said once and put right', async (t) => {
  const rig = await openFilled(t);
  const { layout, store } = rig;
  const [flipped, cut, gone, , good] = digests;
  await writeFile(layout.blob(flipped), bytesOf(MIB, 99));
  await truncate(layout.blob(cut), 1000);
  await unlink(layout.blob(gone));
  const unknown = join(layout.shardOf(good), 'notes.txt');
  await writeFile(unknown, 'text');
  const leftover = layout.partial(digestOf('never begun'));
  await writeFile(leftover, bytesOf(2 * MIB, 7));
  await writeFile(`${leftover}.json`, '{}');
  const directory = join(layout.blobs, 'sha256', 'zz');
  await mkdir(directory);
  const rowless = bytesOf(MIB, 6);
  await mkdir(layout.shardOf(digestOf(rowless)), { recursive: true });
  await writeFile(layout.blob(digestOf(rowless)), rowless);

  const { report, findings } = await run(rig);
  t.match(report, { objects: 3, adopted: 1, isClean: false });
  t.same(report.findings, { irregular: 1, leftover: 1, damaged: 2, missing: 1, unknown: 1 });
  t.same(
    new Map(findings.map(({ name, what, isSetAside }) => [name, [what, isSetAside]])),
    new Map<string, [string, boolean]>([
      [directory, ['irregular', false]],
      [leftover, ['leftover', true]],
      [flipped, ['damaged', true]],
      [cut, ['damaged', true]],
      [gone, ['missing', false]],
      [unknown, ['unknown', true]],
    ]),
  );
  for (const digest of [flipped, cut, gone]) t.equal(await store.open(digest), undefined);
  t.same([store.objects, store.aside.size], [3, 4]);
  t.same(readdirSync(layout.fills), []);
  t.equal(store.ledger.usedBytes, 3 * MIB + MIB + 4096 + 4096 + 2 * MIB);
  const again = await run(rig);
  t.same(again.report.findings, { irregular: 1 }, 'what could not be moved is said again');
});

t.test('one image alone', async (t) => {
  const rig = await openFilled(t);
  const [first, second, third] = digests;
  await writeFile(rig.layout.blob(second), bytesOf(MIB, 99));
  await writeFile(rig.layout.blob(third), bytesOf(MIB, 99));
  const { report, findings } = await run(rig, { digests: [first, second], absent: 3 });
  t.match(report, { objects: 1, absent: 3, isClean: false, findings: { damaged: 1 } });
  t.match(findings, [{ name: second }]);
  t.ok(existsSync(rig.layout.blob(third)), 'the others are not looked at');
  t.match((await run(rig, { digests: [first], absent: 1 })).report, { isClean: true, absent: 1 });
});

t.test('who reads what turns out to be damaged is not stopped; the next one gets it anew', async (t) => {
  const rig = await openFilled(t);
  const [flipped] = digests;
  const reader = await rig.store.open(flipped);
  await writeFile(rig.layout.blob(flipped), bytesOf(MIB, 99));
  await run(rig);
  t.equal(await rig.store.open(flipped), undefined);
  t.ok(reader && (await readToEnd(reader)).length === MIB);
  t.equal(await rig.store.put(flipped, contents[0]), true);
  t.ok((await rig.store.readAll(flipped, MIB))?.equals(contents[0]));
  t.same((await run(rig)).report.findings, {});
});

t.test('what is evicted, stored and downloaded meanwhile is no finding', async (t) => {
  const rig = await openFilled(t);
  const source = new Source(bytesOf(2 * MIB, 50));
  const origin = { upstream: 'docker.io', repository: 'library/alpine' };
  let turn = 0;
  const start = await rig.fills.begin({
    digest: source.digest,
    origin,
    open: source.open,
    isAboutRepository: () => true,
  });
  for await (const event of verify(rig, undefined, () => performance.now() + turn * 1000)) {
    turn += 1; // progress is said at each step
    if (event.kind === 'finding') t.fail(`${event.what} ${event.name}`);
    const digest = digests[turn % 5] ?? digestOf('');
    if (turn % 3 === 0) await rig.store.put(digest, contents[turn % 5] ?? contents[0]);
    else await rig.store.remove(digest, 'budget');
    if (event.kind === 'report') t.ok(event.isClean);
  }
  t.equal(start.kind === 'fill' && (await start.ended), 'stored');
});

t.test('it ends when reading it does, and leaves nothing open', async (t) => {
  const rig = await openFilled(t);
  for await (const _event of verify(rig, undefined, () => 0)) break;
  const open = readdirSync('/proc/self/fd').length;
  for await (const event of verify(rig, undefined, () => 0)) if (event.kind === 'progress') break;
  t.equal(readdirSync('/proc/self/fd').length, open);
});

t.test('what the disk refuses to read is said, left where it is, and does not end the walk', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const rig = await openFilled(t);
  const empty = digestOf('');
  await rig.store.put(empty, Buffer.alloc(0));
  const path = rig.layout.blob(empty);
  // A regular file of no bytes whose first byte cannot be read: EIO, as from a disk with a fault.
  execFileSync('mount', ['--bind', `/proc/${process.pid}/mem`, path]);
  const { report, findings } = await run(rig).finally(() => execFileSync('umount', ['-l', path]));
  t.match(report, { objects: 5, findings: { unreadable: 1 }, isClean: false });
  t.match(findings, [{ what: 'unreadable', name: empty, isSetAside: false }]);
  t.equal(rig.store.sizeOf(empty), 0, 'it may be read another time');
});
