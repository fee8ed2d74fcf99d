import t from 'tap';
import { fetch } from '../helpers/client.ts';
import { imageOf, indexOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, breaking, failing, only, stalling, times } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('seen', [2 * MIB]);
const index = indexOf({ amd64: image });
const latest = '/v2/team/app/manifests/latest';
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;

async function start(t: Parameters<typeof startRegistry>[0]) {
  const registry = await startRegistry(t);
  registry.push('team/app', index, 'latest');
  const at = { at: registry, tagTtlMs: 0, retries: 1 };
  return { registry, mirror: await startMirror(t, { upstreams: { 'registry.test': at } }) };
}

t.test('metrics tell what happened', async (t) => {
  const { registry, mirror } = await start(t);
  const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '42;w=21600' };
  registry.act(
    async (_asked, answer) => {
      const plain = await answer();
      return { ...plain, headers: { ...plain.headers, ...limits } };
    },
    only(blobDownloads, times(1, breaking(MIB))),
  );
  await mirror.manifest(latest);
  await mirror.manifest(latest);
  await mirror.get(layer);
  await mirror.settled();
  await mirror.get(layer);
  await mirror.manifest('/v2/team/app/manifests/none');
  registry.act(failing(500));
  await mirror.manifest(latest);
  // The stale and the confirmed manifest are served from the store too.
  const fromStore = 2 * MIB + 2 * index.manifest.body.length;
  const expected: [name: string, parts: string[], value: number][] = [
    ['hubcap_requests_total', ['kind="manifest"', 'outcome="miss"'], 1],
    ['hubcap_requests_total', ['kind="manifest"', 'outcome="revalidated"'], 1],
    ['hubcap_requests_total', ['kind="manifest"', 'outcome="absent"'], 1],
    ['hubcap_requests_total', ['kind="manifest"', 'outcome="stale"'], 1],
    ['hubcap_requests_total', ['kind="blob"', 'outcome="miss"'], 1],
    ['hubcap_requests_total', ['kind="blob"', 'outcome="hit"'], 1],
    ['hubcap_served_bytes_total', ['source="store"'], fromStore],
    ['hubcap_upstream_requests_total', ['kind="blob"', 'status="200"'], 1],
    ['hubcap_upstream_requests_total', ['kind="blob"', 'status="206"'], 1],
    ['hubcap_upstream_requests_total', ['kind="manifest"', 'status="500"'], 2],
    ['hubcap_upstream_up', ['upstream="registry.test"'], 0],
    ['hubcap_upstream_ratelimit_limit', [], 100],
    ['hubcap_upstream_ratelimit_remaining', [], 42],
    ['hubcap_fills_total', ['result="stored"'], 1],
    ['hubcap_fill_resumes_total', [], 1],
    ['hubcap_misses_total', ['reason="absent"'], 1],
    ['hubcap_store_objects', [], 2],
    ['hubcap_fills_in_flight', [], 0],
    ['hubcap_build_info', ['version="0.0.0-test"'], 1],
  ];
  for (const [name, parts, value] of expected)
    t.equal(await mirror.metric(name, ...parts), value, `${name} ${parts}`);
  const metrics = (await fetch(`${mirror.admin}/metrics`)).body.toString();
  const page = metrics.replaceAll(registry.host, 'an address of the configuration');
  for (const unbounded of ['team/app', image.manifest.digest, 'latest', '127.0.0.1'])
    t.notOk(page.includes(unbounded), `no ${unbounded} in a label`);
});

t.test('what runs can be seen while it runs', async (t) => {
  const { registry, mirror } = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const reader = await mirror.open(layer);
  await until('it is half way', () => mirror.status().fills[0]?.bytes === MIB);
  t.match(JSON.parse((await fetch(`${mirror.admin}/api/status`)).body.toString()), {
    fills: [{ digest: image.layers[0]?.digest, size: 2 * MIB, bytes: MIB, readers: 1 }],
    upstreams: [{ host: 'registry.test', isDefault: true }],
  });
  t.equal(await mirror.metric('hubcap_fills_in_flight'), 1);
  t.equal(await mirror.metric('hubcap_fill_readers'), 1);
  gate.open();
  await reader.ended;
});

t.test('the admin listener answers, and only reads', async (t) => {
  const { mirror } = await start(t);
  const get = async (path: string) => (await fetch(mirror.admin + path)).status;
  t.same(
    await Promise.all(['/', '/healthz', '/readyz', '/metrics', '/api/status'].map(get)),
    [200, 200, 200, 200, 200],
  );
  t.equal(await get('/nothing'), 404);
  t.equal((await fetch(`${mirror.admin}/api/status`, { method: 'POST' })).status, 405);
});

t.test('one log line per request, at its end', async (t) => {
  const { mirror } = await start(t);
  await mirror.manifest(latest);
  await mirror.get(layer);
  const lines = () => mirror.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request');
  await until('both are logged', () => lines().length === 2);
  t.match(lines(), [
    {
      method: 'GET',
      upstream: 'registry.test',
      repository: 'team/app',
      reference: 'latest',
      outcome: 'miss',
    },
    { kind: 'blob', status: 200, bytes: 2 * MIB },
  ]);
});
