import { type FileHandle, mkdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { StorageError } from '../../src/store/errors.ts';
import { SyncedNotes } from '../../src/store/synced-notes.ts';
import { until } from '../helpers/waiting.ts';
import { isWaiting, MIB, openRig, turns } from './rig.ts';
import { Source } from './source.ts';

const SIZE = 200 * MIB;
const origin = { upstream: 'docker.io', repository: 'library/alpine' };
const { digest } = new Source(Buffer.from('content'));

/** Notes of a fill whose disk syncs when the test lets it. */
async function start(t: Parameters<typeof openRig>[0]) {
  const { store, layout } = await openRig(t);
  const syncs: PromiseWithResolvers<void>[] = [];
  const failures: unknown[] = [];
  const datasync = (): Promise<void> => {
    const syncing = Promise.withResolvers<void>();
    syncs.push(syncing);
    return syncing.promise;
  };
  const notes = new SyncedNotes({
    ...{ digest, origin, partials: store.partials },
    file: { datasync } as unknown as FileHandle,
    failed: (error) => failures.push(error),
  });
  const noted = async (): Promise<unknown> => {
    const text = await readFile(layout.partialNote(digest), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as { syncedBytes: unknown }).syncedBytes;
  };
  const isNoted = (bytes: number): Promise<void> =>
    until(`${bytes} are noted`, async () => (await noted()) === bytes);
  return { notes, syncs, failures, noted, isNoted, layout };
}

t.test('noted at the start, as nothing that is surely there', async (t) => {
  const { notes, syncs, noted, layout } = await start(t);
  notes.begin(0, SIZE);
  await notes.end();
  t.equal(await noted(), 0);
  t.match(JSON.parse(await readFile(layout.partialNote(digest), 'utf8')), origin);
  t.equal(syncs.length, 0);
});

t.test('what is small, or may be, is not noted', async (t) => {
  for (const size of [MIB, undefined]) {
    const { notes, syncs, noted } = await start(t);
    notes.begin(0, size);
    notes.wrote(64 * MIB);
    await notes.end();
    t.same([await noted(), syncs.length], [undefined, 0]);
  }
});

t.test('synced each 32 MiB, and noted when that is done', async (t) => {
  const { notes, syncs, noted, isNoted } = await start(t);
  notes.begin(0, SIZE);
  notes.wrote(31 * MIB);
  await isNoted(0);
  t.equal(syncs.length, 0);
  notes.wrote(2 * MIB);
  await until('it is synced', () => syncs.length === 1);
  notes.wrote(40 * MIB);
  await turns();
  t.same([syncs.length, await noted()], [1, 0], 'one at a time; not noted before');
  syncs[0]?.resolve();
  await until('it is synced again', () => syncs.length === 2);
  t.equal(await noted(), 33 * MIB, 'not what was written meanwhile');
  const ending = notes.end();
  t.ok(await isWaiting(ending), 'the end waits for what is under way');
  syncs[1]?.resolve();
  await ending;
  t.equal(await noted(), 73 * MIB);
});

t.test('what was found is synced at the start: an earlier process may not have', async (t) => {
  const { notes, syncs, noted } = await start(t);
  notes.begin(100 * MIB, SIZE);
  notes.wrote(1000);
  await until('it is synced', () => syncs.length === 1);
  t.equal(await noted(), undefined, 'not noted before');
  syncs[0]?.resolve();
  await notes.end();
  t.same([await noted(), syncs.length], [100 * MIB, 1]);
});

t.test('nothing of it is believed when it begins anew', async (t) => {
  const { notes, syncs, noted, isNoted } = await start(t);
  notes.begin(0, SIZE);
  notes.wrote(40 * MIB);
  await until('it is synced', () => syncs.length === 1);
  syncs[0]?.resolve();
  await isNoted(40 * MIB);
  notes.wrote(30 * MIB);
  notes.wrote(-70 * MIB);
  await isNoted(0);
  notes.wrote(31 * MIB);
  await notes.end();
  t.same([await noted(), syncs.length], [0, 1], 'counted from the first byte again');
  notes.wrote(MIB);
  await until('it is synced', () => syncs.length === 2);
  syncs[1]?.resolve();
  await notes.end();
  t.equal(await noted(), 32 * MIB);
});

t.test('a sync that was under way when it began anew is not believed afterwards', async (t) => {
  const { notes, syncs, noted } = await start(t);
  notes.begin(0, SIZE);
  notes.wrote(40 * MIB);
  await until('it is synced', () => syncs.length === 1);
  notes.wrote(-40 * MIB);
  syncs[0]?.resolve();
  await notes.end();
  t.equal(await noted(), 0);
});

t.test('a sync that fails is told at the end, although the next one says nothing', async (t) => {
  const { notes, syncs, noted, failures } = await start(t);
  notes.begin(0, SIZE);
  notes.wrote(40 * MIB);
  await until('it is synced', () => syncs.length === 1);
  notes.wrote(40 * MIB);
  syncs[0]?.reject(new Error('EIO'));
  await until('it is synced again', () => syncs.length === 2);
  t.equal(await noted(), 0);
  syncs[1]?.resolve();
  await t.rejects(notes.end(), StorageError);
  await t.rejects(notes.end(), { message: /EIO/ }, 'as often as it is asked');
  t.same(failures, []);
});

t.test('a note that cannot be written is told, and ends nothing', async (t) => {
  const { notes, syncs, failures, layout } = await start(t);
  await mkdir(layout.partialNote(digest), { recursive: true });
  notes.begin(0, SIZE);
  notes.wrote(40 * MIB);
  await until('it is synced', () => syncs.length === 1);
  syncs[0]?.resolve();
  await notes.end();
  t.equal(failures.length, 2);
});
