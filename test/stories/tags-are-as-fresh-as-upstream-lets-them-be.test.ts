import t from 'tap';
import { imageOf } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200, silent } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const [old, fresh] = [imageOf('old', [100]), imageOf('fresh', [100])];
const LATEST = '/v2/team/app/manifests/latest';

async function start(
  t: Parameters<typeof startRegistry>[0],
  tagTtlMs: number,
): Promise<[Registry, RunningMirror]> {
  const registry = await startRegistry(t);
  registry.push('team/app', old, 'latest');
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, tagTtlMs, retries: 0, timeouts: { confirmMs: 300 } } },
  });
  return [registry, mirror];
}

t.test('within its time a tag is served without a question', async (t) => {
  const [registry, mirror] = await start(t, 3_600_000);
  const first = await mirror.manifest(LATEST);
  t.equal(first.headers['cache-status'], 'hubcap; fwd=miss; stored');
  registry.push('team/app', fresh, 'latest');
  const second = await mirror.manifest(LATEST);
  t.equal(second.headers['cache-status'], 'hubcap; hit');
  t.equal(second.headers['docker-content-digest'], old.manifest.digest);
  t.match(second.headers, { etag: `"${old.manifest.digest}"`, age: /^\d+$/ });
  t.equal(registry.asked.length, 1);
});

t.test('after its time a tag is confirmed by HEAD, and fetched by digest when it moved', async (t) => {
  const [registry, mirror] = await start(t, 0);
  await mirror.manifest(LATEST);
  const confirmed = await mirror.manifest(LATEST);
  t.equal(confirmed.headers['cache-status'], 'hubcap; hit; detail=revalidated');
  t.ok(confirmed.body.equals(old.manifest.body));
  t.same(
    registry.asked.map(({ method, path }) => [method, path]),
    [
      ['GET', LATEST],
      ['HEAD', LATEST],
    ],
  );
  registry.push('team/app', fresh, 'latest');
  const moved = await mirror.manifest(LATEST);
  t.ok(moved.body.equals(fresh.manifest.body));
  t.same(
    registry.asked.slice(2).map(({ method, path }) => [method, path]),
    [
      ['HEAD', LATEST],
      ['GET', `/v2/team/app/manifests/${fresh.manifest.digest}`],
    ],
  );
  await mirror.head(LATEST);
  t.equal(registry.count('GET'), 2, 'a HEAD costs no pull');
});

t.test('a tag that upstream no longer has is gone', async (t) => {
  const [registry, mirror] = await start(t, 0);
  await mirror.manifest(LATEST);
  registry.untag('team/app', 'latest');
  t.equal((await mirror.manifest(LATEST)).status, 404);
  registry.act(failing(500));
  t.equal((await mirror.manifest('/v2/team/app/manifests/other')).status, 502, 'trouble is not absence');
});

const never = makeGate();
t.teardown(never.open);
const troubles: [name: string, persona: Persona, status: number | undefined][] = [
  ['says 500', failing(500), 500],
  ['says 503', failing(503), 503],
  ['throttles', failing(429, { 'retry-after': '30' }), 429],
  ['is silent', silent(never.opened), undefined],
  ['sends HTML', htmlWith200(), undefined],
];
for (const [name, persona, status] of troubles) {
  t.test(`upstream ${name}: the tag is served stale, with a warning, and upstream has a pause`, async (t) => {
    const [registry, mirror] = await start(t, 0);
    await mirror.manifest(LATEST);
    registry.act(persona);
    const stale = await mirror.manifest(LATEST);
    t.equal(stale.status, 200);
    t.ok(stale.body.equals(old.manifest.body));
    t.match(stale.headers.warning, /^299 - ".+"$/);
    const forwarded = status === undefined ? '' : `; fwd-status=${status}`;
    t.equal(stale.headers['cache-status'], `hubcap; fwd=stale${forwarded}`);
    const { length } = registry.asked;
    for (let n = 0; n < 5; n++) t.match(await mirror.manifest(LATEST), { status: 200 });
    t.equal(registry.asked.length, length, 'not asked again within the pause');
    t.equal(await mirror.metric('hubcap_requests_total', 'kind="manifest"', 'outcome="stale"'), 6);
  });
}

t.test('upstream is down: tags, manifests and blobs that are known are served', async (t) => {
  const [registry, mirror] = await start(t, 0);
  const layer = `/v2/team/app/blobs/${old.layers[0]?.digest}`;
  await mirror.manifest(LATEST);
  await mirror.get(layer);
  await mirror.settled();
  await registry.close();
  t.match(await mirror.manifest(LATEST), { status: 200, headers: { warning: /299/ } });
  t.match(await mirror.head(LATEST), { status: 200 });
  t.match(await mirror.manifest(`/v2/team/app/manifests/${old.manifest.digest}`), { status: 200 });
  t.match(await mirror.get(layer), { status: 200 });
  t.match(await mirror.get(`/v2/team/app/blobs/${old.config.digest}`), { status: 503 });
});

t.test('who was refused access is not served what is known', async (t) => {
  const [registry, mirror] = await start(t, 0);
  await mirror.manifest(LATEST);
  registry.act(failing(403));
  t.equal((await mirror.manifest(LATEST)).status, 403);
});

t.test('concurrent questions for one tag are one', async (t) => {
  const [registry, mirror] = await start(t, 3_600_000);
  const gate = makeGate();
  registry.act(silent(gate.opened));
  const asking = Array.from({ length: 20 }, () => mirror.manifest(LATEST));
  await until('upstream is asked', () => registry.asked.length === 1);
  gate.open();
  const received = await Promise.all(asking);
  t.ok(received.every(({ body }) => body.equals(old.manifest.body)));
  t.equal(registry.asked.length, 1);
});

t.test('why a tag could not be confirmed is in the log, once in a while', async (t) => {
  const [registry, mirror] = await start(t, 0);
  await mirror.manifest(LATEST);
  registry.act(failing(503));
  t.equal((await mirror.manifest(LATEST)).headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
  for (const name of ['a', 'b', 'c']) await mirror.manifest(`/v2/team/${name}/manifests/latest`);
  const lines = mirror.logs.map((line) => JSON.parse(line)).filter(({ msg }) => /could not say/.test(msg));
  t.match(lines, [
    { level: 40, upstream: 'registry.test', reason: 'server-error', error: { message: /503/ } },
  ]);
  t.equal(lines.length, 1);
  t.ok((await mirror.metric('hubcap_upstream_failures_total', 'reason="server-error"')) > 1);
});
