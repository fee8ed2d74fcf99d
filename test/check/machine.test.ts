import { once } from 'node:events';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { checkClock, readClock } from '../../src/check/clock.ts';
import { checkDirectory, lockHolder } from '../../src/check/directory.ts';
import { judgeRoom } from '../../src/check/disk.ts';
import { listeningInodes } from '../../src/check/port-holder.ts';
import { checkPort } from '../../src/check/ports.ts';
import { Layout } from '../../src/store/layout.ts';
import { lockDirectory } from '../../src/store/lock.ts';
import { makeDirectory } from '../helpers/engines/needs.ts';

const GIB = 1024 ** 3;

async function inspect(directory: string) {
  const uid = process.getuid?.();
  return await checkDirectory({ directory, daemon: undefined, holder: await lockHolder(directory), uid });
}

async function listening(t: Test) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

t.test('a data directory that is not there is not made', async (t) => {
  const parent = await makeDirectory(t, 'check');
  const findings = await inspect(join(parent, 'a/b/data'));
  t.match(findings[0], { id: 'directory', status: 'ok', message: /is not there yet/ });
  t.same(await readdir(parent), []);
  await writeFile(join(parent, 'file'), '');
  t.match(await inspect(join(parent, 'file')), [{ id: 'directory.kind', status: 'failed' }]);
  t.match(await inspect(join(parent, 'file/data')), [{ status: 'failed' }], 'nor below a file');
});

t.test('a data directory that is there is written, and left as it was', async (t) => {
  const directory = await makeDirectory(t, 'check');
  t.match(await inspect(directory), [{ id: 'directory.layout' }, { id: 'directory.write', status: 'ok' }]);
  t.same(await readdir(directory), []);
  await new Layout(directory).create();
  t.match(await inspect(directory), [{ message: /has layout v1/ }, { id: 'directory.write', status: 'ok' }]);
  t.same(await readdir(directory), ['v1']);
});

t.test('a data directory of a newer hubcap, and one that everybody may write, are named', async (t) => {
  const directory = await makeDirectory(t, 'check');
  await mkdir(join(directory, 'v2'));
  t.match(await inspect(directory), [{ id: 'directory.layout', status: 'failed', message: /has layout v2/ }]);
  const open = await makeDirectory(t, 'check');
  await chmod(open, 0o777);
  t.match(await inspect(open), [{ id: 'directory.mode', status: 'warning' }]);
});

t.test('who holds the lock is told, and it is not taken', async (t) => {
  const directory = await makeDirectory(t, 'check');
  const layout = new Layout(directory);
  await layout.create();
  t.equal(await lockHolder(directory), undefined);
  const unlock = lockDirectory(directory, layout.lock);
  t.equal(await lockHolder(directory), process.pid);
  t.match((await inspect(directory)).at(-1), {
    id: 'directory.use',
    status: 'warning',
    facts: { pid: process.pid },
  });
  unlock();
  t.equal(await lockHolder(directory), undefined);
});

t.test('a port is free, held by this hubcap, or by somebody who is named', async (t) => {
  const port = await listening(t);
  const check = (more: object = {}) =>
    checkPort({
      option: 'listen',
      address: { host: '127.0.0.1', port },
      running: undefined,
      isStarting: false,
      ...more,
    });
  t.match(await check(), {
    status: 'failed',
    message: new RegExp(`taken by \\S+ \\(process ${process.pid}\\)`),
  });
  t.match(await check({ running: `http://127.0.0.1:${port}` }), {
    status: 'ok',
    message: /held by the hubcap/,
  });
  t.match(await check({ running: 'http://127.0.0.1:1' }), { status: 'warning', remedy: /restart/ });
  t.match(
    await check({ isStarting: true }),
    { status: 'skipped' },
    'a port is not taken from one that starts',
  );
  t.match(await check({ address: { host: '127.0.0.1', port: 0 } }), { status: 'ok' });
  t.match(await check({ address: { host: '203.0.113.9', port: 0 } }), {
    status: 'failed',
    remedy: /--listen/,
  });
  const line =
    '   1: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1';
  t.same(listeningInodes(line, 5000), ['4242']);
  t.same(listeningInodes(line, 5001), []);
});

t.test('the room for the store', async (t) => {
  const room = { totalBytes: 100 * GIB, freeBytes: 50 * GIB, totalFiles: 1e6, freeFiles: 9e5 };
  const judge = (more: object, budget: object) =>
    judgeRoom(
      '/d',
      { ...room, ...more },
      { maxBytes: { share: 0.5 }, minFreeBytes: GIB, usedBytes: 0, ...budget },
    );
  t.match(judge({}, {}), [{ status: 'ok', message: /budget is 50GiB, 49GiB may be stored/ }]);
  t.match(judge({}, { maxBytes: 100 * GIB }), [{ id: 'disk.budget', status: 'warning' }, { status: 'ok' }]);
  t.match(judge({ freeBytes: GIB / 2 }, {}), [
    { id: 'disk.room', status: 'failed', message: /nothing can be stored/ },
  ]);
  t.match(judge({ freeBytes: GIB / 2 }, { usedBytes: 40 * GIB }), [{ status: 'warning', message: /evicts/ }]);
  t.match(judge({ freeBytes: 1.5 * GIB }, {}), [{ status: 'warning', message: /room for 512MiB/ }]);
  t.match(judge({ freeFiles: 0 }, {})[1], { id: 'disk.files', status: 'failed' });
  t.match(judge({ freeFiles: 5 }, {})[1], { id: 'disk.files', status: 'warning' });
  t.equal(judge({ freeFiles: 0, totalFiles: 0 }, {}).length, 1, 'not every file system counts files');
});

t.test('the clock is compared with the upstream that agrees most', async (t) => {
  const now = Date.UTC(2026, 5, 1);
  const at = (host: string, offsetS: number) => ({ host, offsetMs: offsetS * 1000 });
  t.match(checkClock([at('a', 0)], now), [{ status: 'ok', message: /right, by a/ }]);
  t.match(checkClock([at('a', -59)], now), [{ status: 'ok', message: /59 s off/ }]);
  t.match(checkClock([at('a', 90), at('b', 3600)], now), [
    { status: 'failed', message: /90 s ahead of that of a/ },
  ]);
  t.match(checkClock([at('a', -90)], now), [{ status: 'failed', message: /behind/ }]);
  t.match(
    checkClock([at('a', -90), at('b', 1)], now),
    [{ status: 'ok' }],
    'one of them is wrong, and not this one',
  );
  t.match(checkClock([], now), [{ status: 'skipped' }]);
  t.match(checkClock([], Date.UTC(1970, 0, 1)), [
    { status: 'failed', message: /before this version was written/ },
  ]);
  t.equal(readClock('a', 'yesterday', 0, 0), undefined);
});

t.test('a Date that is cut to seconds and takes its time on the way makes no clock wrong', async () => {
  const ms = fc.integer({ min: 0, max: 5_000 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1e12, max: 2e12 }),
      ms,
      ms,
      fc.integer({ min: -1e6, max: 1e6 }),
      (there, way, back, offset) => {
        const date = new Date(Math.floor(there / 1000) * 1000).toUTCString();
        const reading = readClock('a', date, there - way + offset, there + back + offset);
        const found = reading?.offsetMs ?? Number.NaN;
        // Never more than it is, and never off by more than a second and the way.
        return Math.abs(found) <= Math.abs(offset) && Math.abs(offset - found) <= 1000 + way + back;
      },
    ),
  );
});
