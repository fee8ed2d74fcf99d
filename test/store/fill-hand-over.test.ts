import type { FileHandle } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { BrokenOffError, StorageError } from '../../src/store/errors.ts';
import { Passage } from '../../src/store/passage.ts';
import { HELD_BACK_BYTES } from '../../src/store/tail.ts';
import { until } from '../helpers/waiting.ts';
import { isWaiting, MIB } from './rig.ts';
import { bytesOf, readToEnd, readUpTo, Source, type SourceOptions } from './source.ts';
import { startFill } from './start-fill.ts';
import { patient } from './start-passage.ts';

/** More than what waits for a disk that has not said yet that it refuses. */
const SIZE = 7 * MIB + 17;

/** A fill whose file has `full` bytes when the disk refuses the next. */
async function startOnFullDisk(
  t: Test,
  full: number,
  { windowBytes = 8 * MIB, ...options }: SourceOptions & { windowBytes?: number } = {},
) {
  const source = new Source(bytesOf(SIZE), { ...options, allowed: full });
  const around = patient(source, { windowBytes });
  const passages: Passage[] = [];
  const { fill, abort, written } = await startFill(t, source, {
    through: (file) => refusingFrom(file, full),
    pass: (start) => {
      const passage = new Passage(start, around.around);
      passages.push(passage);
      return passage;
    },
  });
  const isFull = (): Promise<void> => until('the file is full', () => written() === full);
  return { ...around, source, passages, fill, abort, isFull };
}

function refusingFrom(file: FileHandle, full: number): FileHandle {
  const writev = async (buffers: Buffer[], position: number) => {
    if (position >= full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    return await file.writev(buffers, position);
  };
  return new Proxy(file, {
    get: (target, name) => {
      if (name === 'writev') return writev;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

t.test('a disk that refuses in the middle: its readers go on with the same download', async (t) => {
  const { source, fill, passages, told, isFull } = await startOnFullDisk(t, MIB);
  const [atFrontier, inside, unread, ahead] = [fill.reader(), fill.reader(), fill.reader(), fill.reader()];
  await readUpTo(inside, 1000);
  await readUpTo(atFrontier, MIB);
  const next = readToEnd(atFrontier, { from: MIB });
  const last = readToEnd(ahead, { from: SIZE - 10 });
  t.ok(await isWaiting(next));
  await isFull();
  source.allow();
  await t.rejects(fill.proven, StorageError);
  const [rest, all] = await Promise.all([readToEnd(inside, { from: 1000 }), readToEnd(unread)]);
  t.ok(rest.equals(source.content.subarray(1000)) && all.equals(source.content));
  t.ok((await next).equals(source.content.subarray(MIB)));
  t.ok((await last).equals(source.content.subarray(SIZE - 10)));
  t.same([source.asked, source.sent], [[], SIZE], 'one download');
  t.same([passages.length, told, fill.readers], [1, ['passed'], 0]);
});

t.test('who stalls in the file has it all the same', async (t) => {
  const windowBytes = 256 * 1024;
  const started = await startOnFullDisk(t, MIB, { windowBytes });
  const { source, fill, passages, splits, isFull, lose } = started;
  const [stalled, fast] = [fill.reader(), fill.reader()];
  await readUpTo(stalled, 1000);
  await isFull();
  source.allow();
  const reading = readToEnd(fast);
  await lose();
  t.ok((await reading).equals(source.content));
  t.same([passages.length, splits.length], [1, 1]);
  t.ok((await readToEnd(stalled, { from: 1000 })).equals(source.content.subarray(1000)));
  t.equal(source.asked.length, 1, 'who was left behind has asked for its rest');
  t.ok(source.asked.every((from) => from > MIB));
});

t.test('wrong content is found past the disk too', async (t) => {
  const { source, fill, told, isFull } = await startOnFullDisk(t, MIB);
  const reader = fill.reader();
  await isFull();
  source.content[SIZE - 1] = (source.content[SIZE - 1] ?? 0) ^ 1;
  source.allow();
  const got: Buffer[] = [];
  await t.rejects(readToEnd(reader, { got }), { name: 'DigestMismatchError' });
  t.equal(Buffer.concat(got).length, SIZE - HELD_BACK_BYTES);
  t.same([told, source.asked], [['failed'], []]);
});

t.test('the download ends when they have left', async (t) => {
  const { source, fill, abort, told, isFull } = await startOnFullDisk(t, MIB);
  const [first, second] = [fill.reader(), fill.reader()];
  await isFull();
  source.allow(6 * MIB);
  await t.rejects(fill.proven, StorageError);
  t.notOk(abort.signal.aborted);
  t.ok((await readUpTo(first, MIB + 10)).equals(source.content.subarray(0, MIB + 10)));
  first.close();
  t.notOk(abort.signal.aborted);
  second.close();
  t.ok(abort.signal.aborted);
  t.same(told, ['left']);
});

t.test('who closes while it waits past the disk ends', async (t) => {
  const { source, fill, isFull } = await startOnFullDisk(t, MIB);
  const [leaving, staying] = [fill.reader(), fill.reader()];
  await isFull();
  source.allow(6 * MIB);
  await t.rejects(fill.proven, StorageError);
  const read = leaving.read(Buffer.alloc(10), 6 * MIB + 5);
  const stayed = readToEnd(staying);
  t.ok(await isWaiting(read));
  leaving.close();
  await t.rejects(read, { message: /closed/ });
  source.allow();
  t.ok((await stayed).equals(source.content));
});

t.test('nobody reads it: nothing passes by', async (t) => {
  const { source, fill, abort, passages, isFull } = await startOnFullDisk(t, MIB);
  await isFull();
  source.allow();
  await t.rejects(fill.proven, StorageError);
  t.same([passages.length, abort.signal.aborted], [0, true]);
  await t.rejects(readToEnd(fill.reader()), BrokenOffError, 'who has seen a part of it');
  await t.rejects(readToEnd(fill.reader(), { from: MIB }), StorageError, 'who has seen nothing');
});

t.test('so it goes where the disk refuses the last bytes, and in content of unknown size', async (t) => {
  const cases: [full: number, options: SourceOptions][] = [
    [SIZE - HELD_BACK_BYTES + 1, {}],
    [SIZE - 1, {}],
    [MIB, { size: undefined }],
  ];
  for (const [full, options] of cases) {
    const { source, fill, told, isFull } = await startOnFullDisk(t, full, options);
    const reading = Promise.all([readToEnd(fill.reader()), readToEnd(fill.reader(), { from: 1000 })]);
    await isFull();
    source.allow();
    const [all, rest] = await reading;
    t.ok(all.equals(source.content) && rest.equals(source.content.subarray(1000)));
    t.same([source.asked, source.sent, told], [[], SIZE, ['passed']]);
  }
});

t.test('what was received when it refused is not asked for again', async (t) => {
  for (const full of [16 * 1024, MIB, SIZE - HELD_BACK_BYTES]) {
    const { source, fill, told, isFull } = await startOnFullDisk(t, full);
    const readers = Array.from({ length: 5 }, () => fill.reader());
    await isFull();
    source.allow();
    const all = await Promise.all(readers.map((reader) => readToEnd(reader)));
    t.ok(all.every((got) => got.equals(source.content)));
    t.same([source.asked, source.sent, told], [[], SIZE, ['passed']]);
  }
});
