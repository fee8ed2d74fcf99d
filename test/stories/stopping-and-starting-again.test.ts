import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blobOf, imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, silent, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(8 * MIB, 'partial');
const path = `/v2/team/app/blobs/${blob.digest}`;
const manifestPath = '/v2/team/app/manifests/latest';

t.test('draining lets responses and fills finish', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const reader = await mirror.open(path);
  await reader.receive(1);
  const closed = mirror.close(false);
  await t.rejects(mirror.get('/v2/'), { code: 'ECONNREFUSED' }, 'nobody new is let in');
  gate.open();
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(blob.body), 'who was there is served to the end');
  await closed;
  const next = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    directory: mirror.directory,
  });
  t.equal(
    (await next.get(path)).headers['cache-status'],
    'hubcap; hit',
    'it was stored, with its permission',
  );
});

t.test('draining waits for a download whose client has left', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const reader = await mirror.open(path);
  await reader.receive(1);
  reader.leave();
  const closed = mirror.close(false);
  gate.open();
  await closed;
  const next = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    directory: mirror.directory,
  });
  t.equal((await next.get(path)).headers['cache-status'], 'hubcap; hit');
  t.equal(registry.count('GET'), 1);
});

t.test('draining serves a client that still waits for upstream', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(silent(gate.opened));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const waiting = mirror.get(path);
  await until('upstream is asked', () => registry.asked.length === 1);
  const closed = mirror.close(false);
  gate.open();
  const { isComplete, body } = await waiting;
  t.ok(isComplete && body.equals(blob.body));
  await closed;
});

t.test('draining ends at its deadline, whatever upstream does', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(silent(never.opened));
  const http = { drainMs: 50 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, http });
  const waiting = mirror.get(path).catch((error: Error) => error);
  await until('upstream is asked', () => registry.asked.length === 1);
  await mirror.close(false);
  t.ok((await waiting) instanceof Error, 'the connection was ended');
});

t.test('what was partial is gone on with after a restart, without a client', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(only(blobDownloads, stalling(5 * MIB, never.opened)));
  const upstreams = { 'registry.test': { at: registry } };
  const mirror = await startMirror(t, { upstreams });
  const reader = await mirror.open(path);
  await reader.receive(4 * MIB);
  await until('all that came is written', () => mirror.status().fills[0]?.bytes === 5 * MIB);
  await mirror.close();
  t.notOk((await reader.ended).isComplete);

  registry.act();
  const next = await startMirror(t, { upstreams, directory: mirror.directory });
  await until('it is stored', () => next.status().store.objects === 1);
  t.equal(registry.count('GET'), 2);
  t.equal(registry.asked.at(-1)?.headers.range, `bytes=${5 * MIB}-`, 'from the frontier');
  t.ok(registry.bytesSent() <= 1.1 * blob.body.length);
  const { headers, body } = await next.get(path);
  t.equal(headers['cache-status'], 'hubcap; hit');
  t.ok(body.equals(blob.body));
});

t.test('a partial file that was damaged meanwhile is never served', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(only(blobDownloads, stalling(5 * MIB, never.opened)));
  const upstreams = { 'registry.test': { at: registry } };
  const mirror = await startMirror(t, { upstreams });
  const reader = await mirror.open(path);
  await until('all that came is written', () => mirror.status().fills[0]?.bytes === 5 * MIB);
  await mirror.close();
  await reader.ended;
  const fills = join(mirror.directory, 'v1', 'fills');
  const [file = ''] = (await readdir(fills)).filter((name) => !name.endsWith('.json'));
  await writeFile(join(fills, file), Buffer.alloc(5 * MIB));

  registry.act();
  const next = await startMirror(t, { upstreams, directory: mirror.directory });
  const first = await next.get(path);
  t.notOk(first.isComplete && !first.body.equals(blob.body));
  await next.settled();
  const second = await next.get(path);
  t.ok(second.isComplete && second.body.equals(blob.body), 'and does no lasting harm');
});

t.test('a second daemon is refused the directory, and takes it when the first has ended', async (t) => {
  const registry = await startRegistry(t);
  const upstreams = { 'registry.test': { at: registry } };
  const first = await startMirror(t, { upstreams });
  const { directory } = first;
  await t.rejects(startMirror(t, { upstreams, directory }), { name: 'DirectoryInUseError' });
  t.equal((await first.get('/v2/')).status, 200, 'the first is not disturbed');
  await first.close();
  const second = await startMirror(t, { upstreams, directory });
  t.equal((await second.get('/v2/')).status, 200);
});

for (const damage of ['damaged', 'lost'] as const) {
  t.test(`a catalog that is ${damage}: the files are found again`, async (t) => {
    const registry = await startRegistry(t);
    const image = imageOf('kept', [2 * MIB]);
    registry.push('team/app', image, 'latest');
    const upstreams = { 'registry.test': { at: registry } };
    const mirror = await startMirror(t, { upstreams });
    const { directory } = mirror;
    const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
    await mirror.manifest(manifestPath);
    await mirror.get(layer);
    await mirror.settled();
    const { bytes } = mirror.status().store;
    await mirror.close();
    const catalog = join(directory, 'v1', 'catalog.db');
    await writeFile(catalog, damage === 'damaged' ? Buffer.alloc(64 * 1024, 'x') : '');

    const asked = registry.asked.length;
    const next = await startMirror(t, { upstreams, directory });
    await until('the files are known', () => next.status().store.objects === 2);
    t.equal(next.status().store.bytes, bytes);
    if (damage === 'damaged') {
      t.match(next.logs.join(''), 'the catalog was damaged');
      const names = await readdir(join(directory, 'v1'));
      t.equal(names.filter((name) => /^catalog\.db\.damaged-\d+$/.test(name)).length, 1, 'it is kept aside');
    }
    t.equal((await next.get(layer)).headers['cache-status'], 'hubcap; hit');
    const byDigest = await next.manifest(`/v2/team/app/manifests/${image.manifest.digest}`);
    t.ok(byDigest.body.equals(image.manifest.body));
    const since = registry.asked.slice(asked);
    t.same(
      since.map(({ method }) => method),
      ['HEAD', 'HEAD'],
      'proven anew, and not downloaded again',
    );
  });
}
