import t, { type Test } from 'tap';
import type { MissStatus } from '../../src/admin/misses.ts';
import { run, serve } from '../helpers/command.ts';
import { blobOf, imageOf, indexOf } from '../helpers/content.ts';
import { makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { failing, only, silent } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const [amd64, arm64, other] = [imageOf('amd64', [1000]), imageOf('arm64', [2000]), imageOf('other', [500])];
const index = indexOf({ amd64, arm64 });
const path = (kind: string, reference = '', repository = 'team/app'): string =>
  `/v2/${repository}/${kind}/${reference}`;

async function start(t: Test, isOffline = false, directory?: string, registry?: Registry) {
  const at = registry ?? (await startRegistry(t));
  const upstreams = { 'registry.test': { at, tagTtlMs: 0, notFoundTtlMs: 0, retries: 0 } };
  const place = directory === undefined ? {} : { directory };
  return { registry: at, mirror: await startMirror(t, { upstreams, offline: isOffline, ...place }) };
}

async function pull(mirror: RunningMirror, repository: string, image: typeof amd64): Promise<void> {
  const { manifest, config, layers } = image;
  await mirror.manifest(path('manifests', manifest.digest, repository));
  for (const { digest } of [config, ...layers]) await mirror.get(path('blobs', digest, repository));
  await mirror.settled();
}

async function missesOf(directory: string): Promise<MissStatus[]> {
  const { stdout, stderr } = await run('misses', '--json', '--data', directory);
  return stdout === '' ? Promise.reject(new Error(stderr)) : JSON.parse(stdout).misses;
}

t.test('a day behind the air gap: the list says what to bring, and forgets what was brought', async (t) => {
  const { registry, mirror: outside } = await start(t);
  registry.push('team/app', index, 'v1');
  registry.push('team/other', other, 'latest');
  await outside.manifest(path('manifests', 'v1'));
  await pull(outside, 'team/app', amd64);
  await outside.close();

  const { mirror } = await start(t, true, outside.directory, registry);
  const lone = blobOf(10, 'nobody knows').digest;
  for (const missed of [
    path('manifests', 'v2'),
    path('manifests', 'v2'),
    path('manifests', arm64.manifest.digest),
    path('manifests', 'latest', 'team/other'),
    path('blobs', lone, 'team/other'),
  ])
    t.equal((await mirror.manifest(missed)).status, 404);
  t.match(await mirror.manifest(path('manifests', 'v3')), {
    headers: { 'cache-status': 'hubcap; detail=offline' },
  });
  t.equal((await mirror.manifest(path('manifests', 'v1'))).status, 200, 'what is here is no miss');
  const data = ['--data', mirror.directory];
  const found = await missesOf(mirror.directory);
  const line = (reference: string) => found.find((one) => one.reference === reference);
  t.equal(found.length, 5);
  t.match(line('registry.test/team/app:v2'), { kind: 'image', count: 2, reason: 'offline' });
  t.match(line('registry.test/team/app:v1'), { kind: 'image', platform: 'linux/arm64', count: 1 });
  t.match(line(`registry.test/team/other@${lone}`), { kind: 'blob' });
  const wanted = (await run('misses', '--list', ...data)).stdout.split('\n');
  t.same(wanted.filter((one) => !one.startsWith('#')).sort(), [
    '',
    'registry.test/team/app:v1 linux/arm64',
    'registry.test/team/app:v2',
    'registry.test/team/app:v3',
    'registry.test/team/other:latest',
  ]);
  t.match(
    wanted.filter((one) => one.startsWith('#')),
    [new RegExp(lone)],
  );
  t.match((await run('misses', ...data)).stdout, /REFERENCE.*\n.*team\/app:v3 .* offline\n/);
  t.match((await run('status', ...data)).stdout, /misses +5 noted/);
  t.equal(await mirror.metric('hubcap_misses_total', 'reason="offline"'), 6);
  t.equal(await mirror.metric('hubcap_misses_listed'), 5);
  await mirror.close();

  const { mirror: carrier } = await start(t, false, mirror.directory, registry);
  await pull(carrier, 'team/app', arm64);
  await carrier.manifest(path('manifests', 'latest', 'team/other'));
  t.same(
    (await missesOf(carrier.directory))
      .map(({ reference }) => reference)
      .filter((one) => !one.includes('@'))
      .sort(),
    ['registry.test/team/app:v2', 'registry.test/team/app:v3', 'registry.test/team/other:latest'],
    'an image of which only the manifest came is still wanted',
  );
  await pull(carrier, 'team/other', other);
  t.equal((await missesOf(carrier.directory)).length, 3);
});

t.test(
  'each trouble is noted with its reason; what upstream denies to have is not, nor who left',
  async (t) => {
    const { registry, mirror } = await start(t);
    registry.push('team/app', index, 'v1');
    const never = makeGate();
    t.teardown(never.open);
    const tags = {
      throttled: failing(429, { 'retry-after': '60' }),
      broken: failing(503),
      denied: failing(403),
    };
    registry.act(
      ...Object.entries(tags).map(([tag, persona]) => only((asked) => asked.path.includes(tag), persona)),
      only((asked) => asked.path.endsWith('/left'), silent(never.opened)),
    );
    t.equal((await mirror.manifest(path('manifests', 'broken'))).status, 502);
    t.equal((await mirror.manifest(path('manifests', 'denied', 'team/secret'))).status, 403);
    t.equal((await mirror.manifest(path('manifests', 'typo'))).status, 404);
    t.equal((await mirror.get(path('blobs', 'sha256:bad'))).status, 400);
    const ranged = await mirror.get('/v2/team/app/blobs/nonsense', { headers: { range: 'bytes=9-1' } });
    t.equal(ranged.status, 400);
    const leaving = new AbortController();
    const left = globalThis.fetch(`${mirror.url}${path('manifests', 'left')}`, { signal: leaving.signal });
    left.catch(() => undefined); // it leaves below
    await until('it waits', () => registry.count('GET', '/left') === 1);
    leaving.abort();
    t.equal((await mirror.manifest(path('manifests', 'throttled'))).status, 429);
    const found = await missesOf(mirror.directory);
    t.same(found.map(({ reference, reason, cause }) => [reference.split(':')[1], reason, cause]).sort(), [
      ['broken', 'unavailable', 'server-error'],
      ['denied', 'denied', undefined],
      ['throttled', 'throttled', undefined],
    ]);
    t.equal(await mirror.metric('hubcap_misses_total', 'reason="absent"'), 1);
    t.equal(await mirror.metric('hubcap_misses_total', 'reason="unavailable"'), 1);
    const lines = mirror.logs.map((one) => JSON.parse(one)).filter(({ msg }) => msg === 'request');
    t.match(
      lines.find(({ reference }) => reference === 'broken'),
      { outcome: 'error', reason: 'server-error' },
    );

    t.match(await run('misses', 'clear', '--list', '--data', mirror.directory), { code: 2, stdout: '' });
    t.not((await missesOf(mirror.directory)).length, 0, 'who wants both wants the list first');
    const cleared = await run('misses', 'clear', '--data', mirror.directory);
    t.match(cleared, { code: 0, stdout: '3 cleared\n' });
    t.same(await missesOf(mirror.directory), []);
    t.equal((await run('misses', '--list', '--data', mirror.directory)).stdout, '');
  },
);

t.test('the list survives a restart, and a kill once it was written', async (t) => {
  const directory = await makeDirectory(t);
  const args = ['--data', directory, '--offline'];
  const ask = async (url: string | undefined, tag: string): Promise<void> => {
    const { status } = await globalThis.fetch(`${url}${path('manifests', tag, 'library/app')}`);
    t.equal(status, 404);
  };
  const first = await serve(t, args);
  await ask(first.ready.listen, 'first');
  first.child.kill('SIGTERM');
  await first.exited;
  const second = await serve(t, args);
  for (const tag of ['first', 'second']) await ask(second.ready.listen, tag);
  const written = await missesOf(directory); // who reads it has it written
  second.child.kill('SIGKILL');
  await second.exited;
  t.match(written, [
    { reference: 'docker.io/library/app:second' },
    { reference: 'docker.io/library/app:first', count: 2 },
  ]);
  t.same(await missesOf(directory), written, 'read without a daemon');
  t.match(await run('misses', 'clear', '--data', directory, '--json'), { stdout: '{"cleared":2}\n' });
  t.match((await run('misses', '--data', directory)).stdout, 'nothing was missed');
});
