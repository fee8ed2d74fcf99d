import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { seedStore } from '../../bench/seed-store.ts';
import type { HistoryDocument } from '../../src/admin/history.ts';
import type { ImagePage } from '../../src/admin/image-browser.ts';
import type { MissesPage } from '../../src/admin/misses.ts';
import type { PageStatus } from '../../src/admin/status.ts';
import { type Ask, fetch } from '../helpers/client.ts';
import { imageOf, indexOf, KIB } from '../helpers/content.ts';
import { type MirrorSettings, makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

async function read<T>(mirror: RunningMirror, path: string, ask: Ask = {}): Promise<T> {
  const { status, body } = await fetch(mirror.admin + path, ask);
  if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  return JSON.parse(String(body)) as T;
}

/** A mirror that was asked for three tags and for one that upstream did not give it. */
async function startPulled(t: Test, settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  const index = indexOf({ amd64: imageOf('amd64', [KIB]), arm64: imageOf('arm64', [KIB]) });
  registry.push('library/alpine', index, '3.20');
  registry.push('library/alpine', imageOf('edge', [KIB]), 'edge');
  registry.push('owner/app', imageOf('app', [KIB]), 'v1');
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, ...settings });
  for (const path of [
    'library/alpine/manifests/3.20',
    'library/alpine/manifests/edge',
    'owner/app/manifests/v1',
  ])
    t.equal((await mirror.manifest(`/v2/${path}`)).status, 200);
  return { registry, mirror, index };
}

t.test('images are searched, sorted and told a part at a time', async (t) => {
  const { mirror, index } = await startPulled(t);
  const all = await read<ImagePage>(mirror, '/api/images');
  t.match(all, { isCounted: true, total: 3, matching: 3, isTruncated: false });
  t.same(
    all.images.map(({ reference }) => reference),
    ['docker.io/library/alpine:3.20', 'docker.io/library/alpine:edge', 'docker.io/owner/app:v1'],
  );
  t.match(all.images[0], { digest: index.manifest.digest, state: 'partial', isPinned: false });
  t.ok(Date.parse(all.images[0]?.lastUsedAt ?? '') > 0);
  t.same(
    all.images[0]?.platforms.map(({ platform, isComplete }) => [platform, isComplete]),
    [
      ['linux/amd64', false],
      ['linux/arm64', false],
    ],
  );
  const found = await read<ImagePage>(mirror, '/api/images?search=ALPINE%20edge');
  t.match(found, { total: 3, matching: 1, images: [{ reference: 'docker.io/library/alpine:edge' }] });
  const part = await read<ImagePage>(mirror, '/api/images?offset=1&limit=1&sort=name');
  t.match(part, { matching: 3, images: [{ reference: 'docker.io/library/alpine:edge' }] });
  t.equal(part.images.length, 1);
  t.same((await read<ImagePage>(mirror, '/api/images?offset=9')).images, []);
});

t.test('the first names come before all are counted, to who wants them so', async (t) => {
  const directory = await makeDirectory(t);
  await seedStore(directory, { images: 300, layers: 1 });
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, directory });
  const ask = (query: string) => read<ImagePage>(mirror, `/api/images?limit=25${query}`);
  const [early, whole, found] = await Promise.all([
    ask('&quick=yes'),
    ask(''),
    ask('&quick=yes&search=seed-7'),
  ]);
  t.equal(early.isCounted, false);
  t.ok(early.total < 300, `${early.total} were read`);
  t.match(whole, { isCounted: true, total: 300, matching: 300 });
  t.match(found, { isCounted: true, total: 300 }, 'what is searched for may be anywhere');
  t.same(early.images, whole.images, 'they are the same');
  t.match(await ask('&quick=yes'), { isCounted: true, total: 300 }, 'what is known is told');
});

t.test('what a browser or a proxy has to know is told with each answer', async (t) => {
  const { mirror } = await startPulled(t);
  for (const path of ['status', 'images', 'misses', 'history', 'ready']) {
    const { headers } = await fetch(`${mirror.admin}/api/${path}`, {});
    t.match(
      headers,
      { 'cache-control': 'no-store', 'cross-origin-resource-policy': 'same-origin' },
      'kept by nobody, and embedded nowhere else',
    );
  }
  const written = await fetch(`${mirror.admin}/api/status`, { method: 'POST' });
  t.equal(written.status, 405);
  t.equal(written.headers.allow, 'GET, HEAD');
});

t.test('the last used comes first where that is wanted', async (t) => {
  const clock = { ms: Date.parse('2026-01-01') };
  const { mirror } = await startPulled(t, { now: () => clock.ms });
  clock.ms += 60_000;
  await mirror.manifest('/v2/library/alpine/manifests/edge');
  clock.ms += 60_000;
  await mirror.manifest('/v2/owner/app/manifests/v1');
  const { images } = await read<ImagePage>(mirror, '/api/images?sort=used');
  t.same(
    images.map(({ reference, lastUsedAt }) => [reference, lastUsedAt]),
    [
      ['docker.io/owner/app:v1', '2026-01-01T00:02:00.000Z'],
      ['docker.io/library/alpine:edge', '2026-01-01T00:01:00.000Z'],
      ['docker.io/library/alpine:3.20', '2026-01-01T00:00:00.000Z'],
    ],
  );
});

t.test('the miss list, totals and the last hour are told', async (t) => {
  const { mirror, registry } = await startPulled(t);
  registry.act(() => ({ status: 503 }));
  await mirror.get('/v2/library/gone/manifests/latest');
  const misses = await read<MissesPage>(mirror, '/api/misses');
  t.match(misses, {
    total: 1,
    misses: [{ reference: 'docker.io/library/gone:latest', kind: 'image', count: 1 }],
  });
  t.same((await read<MissesPage>(mirror, '/api/misses?limit=0')).misses, []);
  const { totals, tellsNames, isLocalOnly } = await read<PageStatus>(mirror, '/api/status');
  t.ok(tellsNames);
  t.ok(isLocalOnly);
  t.match(totals, { requests: { miss: 3, error: 1 } });
  t.ok((totals?.servedBytes.store ?? 0) + (totals?.servedBytes.fill ?? 0) > 0);
  const { samples } = await read<HistoryDocument>(mirror, '/api/history');
  t.ok(samples.length >= 1);
  t.same((await read<HistoryDocument>(mirror, `/api/history?since=${Date.now() + 60_000}`)).samples, []);
});

t.test('what is asked wrongly is said', async (t) => {
  const { mirror } = await startPulled(t);
  for (const path of [
    'images?limit=501',
    'images?limit=-1',
    'images?offset=x',
    'images?sort=size',
    'history?since=',
  ])
    t.equal((await fetch(`${mirror.admin}/api/${path}`, {})).status, 400, path);
});

t.test('names stay with who may hear them', async (t) => {
  const { mirror, registry } = await startPulled(t, { adminNames: 'nobody' });
  const everything = async (): Promise<string> => {
    const paths = ['/metrics', '/readyz', '/api/status', '/api/history', '/api/images', '/api/misses'];
    const answers = await Promise.all(paths.map((path) => fetch(mirror.admin + path, {})));
    return answers.map(({ body }) => String(body)).join('\n');
  };
  t.notMatch(await everything(), /alpine|owner/);
  t.equal((await fetch(`${mirror.admin}/api/images`, {})).status, 403);
  t.equal((await fetch(`${mirror.admin}/api/misses`, {})).status, 403);
  t.notOk((await read<PageStatus>(mirror, '/api/status')).tellsNames);
  const { settings } = await mirror.reload({
    upstreams: { 'docker.io': { at: registry } },
    adminNames: 'everyone',
  });
  t.same(settings, ['adminNames'], 'at once, without a restart');
  t.match(await everything(), /alpine/);
});

t.test('who opens connections without end does not take the files of those who pull', async (t) => {
  const { mirror } = await startPulled(t);
  const { hostname, port } = new URL(mirror.admin);
  const opened = Array.from({ length: 300 }, () => connect(Number(port), hostname));
  t.teardown(() => {
    for (const socket of opened) socket.destroy();
  });
  let refused = 0;
  for (const socket of opened) {
    socket
      .on('error', () => undefined)
      .on('close', () => refused++)
      .resume();
  }
  await until('the last ones are refused', () => refused >= 44, 10);
  t.equal((await mirror.manifest('/v2/owner/app/manifests/v1')).status, 200);
  for (const socket of opened) socket.destroy();
  await until(
    'there is room again',
    () =>
      fetch(`${mirror.admin}/healthz`, {}).then(
        ({ status }) => status === 200,
        () => false,
      ),
    10,
  );
});

/** As nginx asks by its defaults. */
async function askAsProxy(mirror: RunningMirror, path: string): Promise<string> {
  const { host, hostname, port } = new URL(mirror.admin);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${path} HTTP/1.0\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return await text(socket);
}

t.test('who asks by way of a proxy that names nobody is told no names', async (t) => {
  const { mirror } = await startPulled(t);
  t.match(await askAsProxy(mirror, '/api/images'), /^HTTP\/1\.1 403 /);
  t.match(await askAsProxy(mirror, '/api/status'), /"tellsNames":false/);
});

t.test('a request by its whole address is no way around', async (t) => {
  const { mirror } = await startPulled(t);
  t.match(await askAsProxy(mirror, 'http://evil.example/api/images'), /^HTTP\/1\.1 404 /);
});

t.test('a page of somebody else cannot read them under a name of its own', async (t) => {
  const { mirror } = await startPulled(t);
  const headers = { host: 'evil.example' };
  t.equal((await fetch(`${mirror.admin}/api/images`, { headers })).status, 403);
  t.equal((await fetch(`${mirror.admin}/api/misses`, { headers })).status, 403);
  t.notOk((await read<PageStatus>(mirror, '/api/status', { headers })).tellsNames);
});
