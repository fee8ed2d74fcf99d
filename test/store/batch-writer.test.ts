import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { BatchWriter } from '../../src/store/batch-writer.ts';
import { StorageError } from '../../src/store/errors.ts';
import { isWaiting, MIB, turns } from './rig.ts';
import { bytesOf } from './source.ts';

/** A disk that takes a write when the test says how much of it. */
function slowDisk() {
  const writes: {
    bytes: number;
    position: number;
    take: (bytes?: number) => void;
    refuse: (error: Error) => void;
  }[] = [];
  const disk = Buffer.alloc(20 * MIB);
  const writev = (buffers: Buffer[], position: number) => {
    const whole = Buffer.concat(buffers);
    return new Promise<{ bytesWritten: number }>((resolve, reject) => {
      const take = (bytes = whole.length): void => {
        whole.copy(disk, position, 0, bytes);
        resolve({ bytesWritten: bytes });
      };
      writes.push({ bytes: whole.length, position, take, refuse: reject });
    });
  };
  return { disk, writes, file: { writev } as unknown as FileHandle };
}

t.test('chunks of any size arrive in order, behind what is there', async (t) => {
  const path = join(t.testdir({ file: 'before' }), 'file');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(70_000), { maxLength: 40 }), async (sizes) => {
      const file = await open(path, 'r+');
      await file.truncate(6);
      let written = 0;
      const writer = new BatchWriter(file, 6, {
        written: (bytes) => {
          written += bytes;
        },
      });
      const chunks = sizes.map((size, at) => bytesOf(size, at));
      for (const chunk of chunks) await writer.push(chunk);
      await writer.flush();
      await file.close();
      const expected = Buffer.concat([Buffer.from('before'), ...chunks]);
      if (!(await readFile(path)).equals(expected)) throw new Error('other bytes');
      if (written !== expected.length - 6) throw new Error(`told of ${written} bytes`);
    }),
    { numRuns: 30 },
  );
});

t.test('what arrives during a write goes out with the next', async (t) => {
  const { writes, file } = slowDisk();
  const told: number[] = [];
  const writer = new BatchWriter(file, 0, { written: (bytes) => told.push(bytes) });
  for (const size of [10, 20, 30]) await writer.push(bytesOf(size));
  t.same(
    writes.map(({ bytes }) => bytes),
    [10],
  );
  writes[0]?.take();
  await turns();
  t.same(
    writes.map(({ bytes, position }) => [bytes, position]),
    [
      [10, 0],
      [50, 10],
    ],
  );
  t.same(told, [10]);
  const flushing = writer.flush();
  t.ok(await isWaiting(flushing));
  writes[1]?.take();
  await flushing;
  t.same(told, [10, 50]);
});

t.test('the sender is held back when the disk is slow', async (t) => {
  const { writes, file } = slowDisk();
  const writer = new BatchWriter(file, 0, { written: () => undefined });
  await writer.push(bytesOf(MIB));
  for (let chunk = 0; chunk < 4; chunk++) await writer.push(bytesOf(MIB));
  const pushing = writer.push(bytesOf(1));
  t.ok(await isWaiting(pushing), 'more than 4 MiB wait');
  writes[0]?.take();
  await turns();
  writes[1]?.take();
  await pushing;
});

t.test('a short write is gone on with', async (t) => {
  const { disk, writes, file } = slowDisk();
  const told: number[] = [];
  const writer = new BatchWriter(file, 5, { written: (bytes) => told.push(bytes) });
  await writer.push(bytesOf(10, 1));
  await writer.push(bytesOf(100, 2));
  await writer.push(bytesOf(100, 3));
  const flushing = writer.flush();
  writes[0]?.take(3);
  await turns();
  writes[1]?.take();
  await turns();
  for (const [at, bytes] of [
    [2, 150],
    [3, 1],
    [4, undefined],
  ] as const) {
    writes[at]?.take(bytes);
    await turns();
  }
  await flushing;
  t.ok(disk.subarray(5, 215).equals(Buffer.concat([bytesOf(10, 1), bytesOf(100, 2), bytesOf(100, 3)])));
  t.same(told, [10, 200], 'told of whole batches');
});

t.test('a disk that refuses is told to whoever pushes or flushes', async (t) => {
  const { writes, file } = slowDisk();
  const told: number[] = [];
  const writer = new BatchWriter(file, 0, { written: (bytes) => told.push(bytes) });
  await writer.push(bytesOf(10));
  writes[0]?.refuse(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  await turns();
  await t.rejects(writer.flush(), StorageError);
  await t.rejects(writer.flush(), { message: /no space/ }, 'and again');
  await t.rejects(writer.push(bytesOf(5 * MIB)), StorageError);
  t.equal(writes.length, 1, 'nothing more was written');
  t.same(told, []);
});

t.test('what is not in the file when the disk refuses is still to be had, in order', async (t) => {
  const { writes, file } = slowDisk();
  const writer = new BatchWriter(file, 0, { written: () => undefined });
  const chunks = [10, 20, 30, 40].map((size, at) => bytesOf(size, at));
  const [first = never(), ...others] = chunks;
  await writer.push(first);
  for (const chunk of others) await writer.push(chunk);
  writes[0]?.take();
  await turns();
  t.ok(Buffer.concat(writer.unwritten).equals(Buffer.concat(others)), 'not what is written');
  writes[1]?.take(25);
  await turns();
  await writer.push(bytesOf(50, 5));
  writes[2]?.refuse(new Error('no space'));
  await t.rejects(writer.flush(), StorageError);
  const rest = Buffer.concat([...others, bytesOf(50, 5)]);
  t.ok(Buffer.concat(writer.unwritten).equals(rest), 'whole batches: a part of one is not believed');
  await t.rejects(writer.push(bytesOf(60, 6)), StorageError, 'the next who comes is told at once');
  t.ok(Buffer.concat(writer.unwritten).equals(Buffer.concat([rest, bytesOf(60, 6)])));
});

t.test('nothing is unwritten when all is written', async (t) => {
  const { writes, file } = slowDisk();
  const taken: number[] = [];
  const writer = new BatchWriter(file, 0, {
    taken: () => taken.push(writes.length),
    written: () => undefined,
  });
  await writer.push(bytesOf(10));
  writes[0]?.take();
  await writer.flush();
  t.same(writer.unwritten, []);
  t.same(taken, [0], 'told before it goes to the disk');
});

function never(): never {
  throw new Error('there are some');
}
