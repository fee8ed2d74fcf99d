import { existsSync, readdirSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import t from 'tap';
import type { Digest } from '../../src/oci/digest.ts';
import { StoreClosingError } from '../../src/store/errors.ts';
import type { Fill } from '../../src/store/fill.ts';
import type { OpenInput } from '../../src/store/fill-sources.ts';
import type { FillStart } from '../../src/store/fills.ts';
import { isWaiting, MIB, openRig, turns } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source } from './source.ts';

const SIZE = 3 * MIB;
const origin = { upstream: 'docker.io', repository: 'library/alpine' };

function request(digest: Digest, open: OpenInput) {
  return { digest, origin, open, isAboutRepository: () => true };
}

function fillOf(start: FillStart): { fill: Fill; ended: Promise<string> } {
  if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
  return start;
}

t.test('one download for all who ask, before it starts and while it runs', async (t) => {
  const { fills, store, ledger, layout, told } = await openRig(t).then((rig) => ({ ...rig, ...rig.store }));
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const asked = request(source.digest, source.open);
  const starts = await Promise.all(Array.from({ length: 50 }, () => fills.begin(asked)));
  t.equal(starts.filter(({ joined }) => !joined).length, 1);
  const late = await fills.begin(asked);
  t.equal(late.joined, true);
  const readers = [...starts, late].map((start) => fillOf(start).fill.reader());
  t.equal(fills.readers, 51);
  t.same(
    [...fills.list()].map(({ digest, size, readers }) => [digest, size, readers]),
    [[source.digest, SIZE, 51]],
  );
  t.equal(ledger.reservedBytes, SIZE);
  source.allow();
  for (const got of await Promise.all(readers.map((reader) => readToEnd(reader)))) {
    if (!got.equals(source.content)) t.fail('other bytes');
  }
  t.equal(await fillOf(late).ended, 'stored');
  t.same(source.asked, [0]);
  t.same(told, ['storage works', 'fill stored']);
  t.ok((await readFile(layout.blob(source.digest))).equals(source.content));
  t.same(readdirSync(layout.fills), [], 'nothing is left');
  t.same([fills.size, ledger.reservedBytes, ledger.usedBytes, store.objects], [0, 0, SIZE, 1]);
});

t.test('the fill goes on when every reader has left', async (t) => {
  const { fills, store } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const start = fillOf(await fills.begin(request(source.digest, source.open)));
  const reader = start.fill.reader();
  await readUpTo(reader, MIB);
  reader.close();
  t.equal(fills.readers, 0);
  source.allow();
  t.equal(await start.ended, 'stored');
  t.equal(store.sizeOf(source.digest), SIZE);
});

t.test('the store is looked at again inside the flight', async (t) => {
  const { fills, store } = await openRig(t);
  const content = bytesOf(100);
  const source = new Source(content);
  await store.put(source.digest, content);
  t.same(await fills.begin(request(source.digest, source.open)), { kind: 'stored', joined: false });
  t.same(source.asked, []);
});

t.test('what upstream does not have leaves nothing behind', async (t) => {
  const { fills, store, layout } = await openRig(t);
  const { digest } = new Source(bytesOf(1));
  const open = Promise.withResolvers<undefined>();
  const starts = [1, 2].map(() => fills.begin(request(digest, () => open.promise)));
  open.resolve(undefined);
  t.same(await Promise.all(starts), [
    { kind: 'absent', joined: false },
    { kind: 'absent', joined: true },
  ]);
  t.same([store.ledger.reservedBytes, readdirSync(layout.fills), fills.size], [0, [], 0]);
});

t.test('an upstream that fails is told to who asked, and leaves nothing behind', async (t) => {
  const { fills, store, layout } = await openRig(t);
  const source = new Source(bytesOf(SIZE));
  const down = async () => {
    throw new Error('down');
  };
  await t.rejects(fills.begin(request(source.digest, down)), { message: 'down' });
  t.same([store.ledger.reservedBytes, readdirSync(layout.fills)], [0, []]);
  const next = fillOf(await fills.begin(request(source.digest, source.open)));
  t.equal(await next.ended, 'stored', 'and the next may try');
});

t.test('what does not fit is streamed past as soon as upstream has said its size', async (t) => {
  const { fills, store, layout } = await openRig(t, { maxBytes: 2 * MIB });
  const source = new Source(bytesOf(SIZE));
  t.equal((await fills.begin(request(source.digest, source.open))).kind, 'bypass');
  t.same(source.asked, [0]);
  t.same([store.ledger.reservedBytes, readdirSync(layout.fills)], [0, []]);
});

t.test('content whose size nobody says is stored where it fits', async (t) => {
  const { fills, store, told } = await openRig(t, { maxBytes: 4 * MIB });
  const fits = new Source(bytesOf(SIZE), { size: undefined });
  const tooLarge = new Source(bytesOf(5 * MIB), { size: undefined });
  const start = fillOf(await fills.begin(request(fits.digest, fits.open)));
  t.ok((await readToEnd(start.fill.reader())).equals(fits.content));
  t.equal(await start.ended, 'stored');
  const other = fillOf(await fills.begin(request(tooLarge.digest, tooLarge.open)));
  t.equal(await other.ended, 'unstored');
  t.equal(store.ledger.reservedBytes, 0);
  t.match(told.at(-1), 'fill unstored');
});

t.test('wrong content is thrown away', async (t) => {
  const { fills, store, layout, told } = await openRig(t);
  const { digest } = new Source(bytesOf(SIZE));
  const wrong = new Source(bytesOf(SIZE, 2));
  const start = fillOf(await fills.begin(request(digest, wrong.open)));
  await t.rejects(readToEnd(start.fill.reader()), { name: 'DigestMismatchError' });
  t.equal(await start.ended, 'mismatch');
  t.same(told, ['discarded', 'fill mismatch'], 'after a second try');
  t.same([store.ledger.reservedBytes, store.ledger.usedBytes, readdirSync(layout.fills)], [0, 0, []]);
});

t.test('a broken download is resumed by the next who asks', async (t) => {
  const { fills, store, layout } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB, failure: new Error('reset') });
  const first = fillOf(await fills.begin(request(source.digest, source.open)));
  t.equal(await first.ended, 'failed');
  t.equal((await stat(layout.partial(source.digest))).size, 2 * MIB);
  t.same([store.ledger.reservedBytes, store.ledger.usedBytes], [0, 2 * MIB], 'what is kept counts');
  source.allow();
  const second = fillOf(await fills.begin(request(source.digest, source.open)));
  t.ok((await readToEnd(second.fill.reader())).equals(source.content));
  t.equal(await second.ended, 'stored');
  t.same(source.asked, [0, 2 * MIB]);
  t.equal(source.sent, SIZE);
  t.same([store.ledger.reservedBytes, store.ledger.usedBytes], [0, SIZE]);
});

t.test('a partial file with wrong bytes is not resumed twice', async (t) => {
  const { fills, layout } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB, failure: new Error('reset') });
  await fillOf(await fills.begin(request(source.digest, source.open))).ended;
  await writeFile(layout.partial(source.digest), bytesOf(2 * MIB, 7));
  source.allow();
  const second = fillOf(await fills.begin(request(source.digest, source.open)));
  t.equal(await second.ended, 'stored', 'it is fetched from the start at once');
  t.same(source.asked, [0, 2 * MIB, 0]);
});

t.test('closing waits for what runs, then stops it and keeps what is there', async (t) => {
  const { fills, layout, told } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: 2 * MIB });
  const start = fillOf(await fills.begin(request(source.digest, source.open)));
  const reader = start.fill.reader();
  await readUpTo(reader, 2 * MIB);
  reader.close();
  const deadline = new AbortController();
  const closing = fills.close(deadline.signal);
  t.ok(await isWaiting(closing));
  await t.rejects(fills.begin(request(new Source(bytesOf(1)).digest, source.open)), StoreClosingError);
  t.equal((await fills.begin(request(source.digest, source.open))).kind, 'fill', 'joining is no start');
  deadline.abort();
  await closing;
  t.equal(await start.ended, 'stopped');
  t.same(told, ['fill stopped']);
  t.equal((await stat(layout.partial(source.digest))).size, 2 * MIB);
  t.ok(existsSync(layout.partialNote(source.digest)), 'and where it comes from');
});

t.test('closing within the deadline loses nothing', async (t) => {
  const { fills } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const start = fillOf(await fills.begin(request(source.digest, source.open)));
  const closing = fills.close(new AbortController().signal);
  source.allow();
  await closing;
  t.equal(await start.ended, 'stored');
});

t.test('closing waits for a fill that is being started', async (t) => {
  const { fills } = await openRig(t);
  const source = new Source(bytesOf(SIZE), { allowed: MIB });
  const answer = Promise.withResolvers<void>();
  const open: OpenInput = async ({ from, signal, purpose }) => {
    await answer.promise;
    return await source.open({ from, signal, purpose });
  };
  const starting = fills.begin(request(source.digest, open)).catch((error: unknown) => error);
  await turns();
  const deadline = new AbortController();
  const closing = fills.close(deadline.signal);
  t.ok(await isWaiting(closing), 'upstream has not answered yet: it may still become a fill');
  deadline.abort();
  answer.resolve();
  await starting;
  await closing;
  await turns();
  t.equal(fills.size, 0, 'nothing runs on when the store is closed');
  source.fail(new Error('over')); // or it would keep the test alive
});
