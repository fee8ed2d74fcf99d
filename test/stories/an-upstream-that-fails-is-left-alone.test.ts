import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200, inTurn, manifests, only, silent } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const TAGS = ['1', '2', '3', '4'];
const image = imageOf('app', [1000]);
const pathOf = (tag: string, repository = 'team/app') => `/v2/${repository}/manifests/${tag}`;

/** A tag is never fresh; the first pause is longer than any test. */
async function start(
  t: Parameters<typeof startRegistry>[0],
  timeouts: Record<string, number> = {},
  directory?: string,
  known?: Registry,
) {
  const registry = known ?? (await startRegistry(t));
  for (const repository of ['team/app', 'team/b', 'team/c', 'team/d']) {
    for (const tag of TAGS) registry.push(repository, image, tag);
  }
  const at = {
    at: registry,
    tagTtlMs: 0,
    retries: 0,
    timeouts: { probeMs: 600_000, confirmMs: 200, headersMs: 400, ...timeouts },
  };
  const settings = { upstreams: { 'registry.test': at } };
  const mirror = await startMirror(t, directory === undefined ? settings : { ...settings, directory });
  return { registry, mirror };
}

t.test('a silent upstream is waited for once; then known tags are stale at once', async (t) => {
  const { registry, mirror } = await start(t);
  for (const tag of TAGS) await mirror.manifest(pathOf(tag));
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(silent(gate.opened));
  const asked = () => registry.asked.filter(manifests).length;
  const before = asked();
  for (const tag of TAGS) {
    const answer = await mirror.manifest(pathOf(tag));
    t.equal(answer.status, 200);
    t.match(answer.headers, { 'cache-status': /stale/, warning: /^299/ }, tag);
  }
  t.equal(asked() - before, 1, 'it was asked for the first of them alone');
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'slow', reason: 'timeout' }]);

  const unknown = await mirror.manifest(pathOf('unknown'));
  t.equal(unknown.status, 504, 'who has nothing else waits for what is found out, or finds out');
  const found = asked();
  for (const path of [pathOf('unknown'), pathOf('other'), pathOf('1', 'team/new')]) {
    const refused = await mirror.manifest(path);
    t.equal(refused.status, 504);
    t.ok(Number(refused.headers['retry-after']) > 100, 'when it is tried again');
    t.match(ociErrorOf(refused), { code: 'UNAVAILABLE', message: /did not answer in time/ });
  }
  t.equal(asked(), found, 'nobody was asked any more');
  t.equal(await mirror.metric('hubcap_upstream_endpoint_up'), 0);
  t.ok((await mirror.metric('hubcap_upstream_failures_total', 'reason="timeout"')) > 0);
  t.ok(mirror.logs.some((line) => /left alone/.test(line) && /"reason":"timeout"/.test(line)));
  t.ok(
    mirror.logs.some((line) => /upstream is slow: .*not known/.test(line)),
    'at first it was only slow',
  );
});

t.test('an upstream that is back is found back by who asks', async (t) => {
  const { registry, mirror } = await start(t, { probeMs: 1 });
  await mirror.manifest(pathOf('1'));
  registry.act(only(manifests, failingConnection()));
  t.equal((await mirror.manifest(pathOf('2'))).status, 503);
  registry.act();
  await until('it is found back', async () => (await mirror.manifest(pathOf('3'))).status === 200);
  t.match((await mirror.manifest(pathOf('1'))).headers, { 'cache-status': /revalidated/ });
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
  t.equal(await mirror.metric('hubcap_upstream_endpoint_up'), 1);
});

t.test('a probe that takes its time holds up nobody who has something', async (t) => {
  const { registry, mirror } = await start(t, { probeMs: 1, headersMs: 5000, confirmMs: 1000 });
  for (const tag of TAGS) await mirror.manifest(pathOf(tag));
  registry.act(failingConnection());
  await mirror.manifest(pathOf('1'));
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(silent(gate.opened));
  await until('a probe runs', async () => {
    t.match((await mirror.manifest(pathOf('1'))).headers, { 'cache-status': /stale/ });
    return registry.answering > 0;
  });
  gate.open();
  await until('it has found it back', () => {
    return mirror.status().upstreams[0]?.endpoints[0]?.state === 'up';
  });
  t.match((await mirror.manifest(pathOf('4'))).headers, { 'cache-status': /revalidated/ });
});

t.test(
  'a probe holds up nobody who is not refused: what is slow is asked for what is not known',
  async (t) => {
    const { registry, mirror } = await start(t, { probeMs: 1, headersMs: 5000, confirmMs: 100 });
    await mirror.manifest(pathOf('1'));
    const gate = makeGate();
    t.teardown(gate.open);
    registry.act(only(({ method, path }) => method === 'HEAD' || path === '/v2/', silent(gate.opened)));
    await mirror.manifest(pathOf('1'));
    await until('its base is looked at', () => registry.asked.some(({ path }) => path === '/v2/'));
    const startMs = performance.now();
    const paths = TAGS.map((tag) => pathOf(tag, 'team/b'));
    for (const path of paths) t.equal((await mirror.manifest(path)).status, 200);
    t.ok(performance.now() - startMs < 4_000, 'nobody waits for the probe');
  },
);

t.test('it starts while every upstream is down, and serves what it knows', async (t) => {
  const directory = await makeDirectory(t);
  const first = await start(t, {}, directory);
  await first.mirror.manifest(pathOf('1'));
  await first.mirror.get(`/v2/team/app/blobs/${image.config.digest}`);
  await first.mirror.settled();
  await first.mirror.close();
  await first.registry.close();
  const { mirror } = await start(t, {}, directory, first.registry);
  t.match(await mirror.manifest(pathOf('1')), { status: 200, headers: { 'cache-status': /stale/ } });
  t.equal((await mirror.get(`/v2/team/app/blobs/${image.config.digest}`)).status, 200);
  const unknown = await mirror.manifest(pathOf('2'));
  t.equal(unknown.status, 503);
  t.match(ociErrorOf(unknown), { message: /cannot be reached/ });
  t.match(unknown.body.toString(), /"reason":"refused"/);
});

t.test('one image that upstream fails at does not stand for the others', async (t) => {
  for (const persona of [failing(500), htmlWith200(), failingConnection()]) {
    const { registry, mirror } = await start(t);
    registry.act(only(({ path }) => path.includes('/manifests/1'), persona));
    for (let n = 0; n < 3; n++) {
      t.match((await mirror.manifest(pathOf('1'))).status, /50[23]/);
      await until('its base was looked at', () => mirror.status().upstreams[0]?.endpoints[0]?.state === 'up');
    }
    t.equal(registry.count('GET', '/manifests/1'), 1, 'the answer was remembered');
    t.equal((await mirror.manifest(pathOf('2'))).status, 200);
    t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
  }
});

t.test('an upstream that fails at everything is down', async (t) => {
  const { registry, mirror } = await start(t);
  await mirror.manifest(pathOf('1', 'team/d'));
  registry.act(failing(503));
  for (const name of ['team/app', 'team/b', 'team/c']) await mirror.manifest(pathOf('1', name));
  await until('what it answered last was tried', () => registry.count('HEAD', 'team/d/') === 1);
  const before = registry.asked.length;
  t.match(await mirror.manifest(pathOf('1', 'team/d')), {
    status: 200,
    headers: { 'cache-status': /stale/ },
  });
  t.equal((await mirror.manifest(pathOf('2', 'team/d'))).status, 502);
  t.equal(registry.asked.length, before);
});

t.test('one that flaps is asked', async (t) => {
  const { registry, mirror } = await start(t, { probeMs: 1 });
  registry.act(inTurn([failing(503), failing(200), failing(503), failing(503)]));
  await until('a manifest comes', async () => (await mirror.manifest(pathOf('1'))).status === 200);
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
});

function failingConnection(): Persona {
  return async (_asked, answer) => ({ ...(await answer()), breakAfter: 0, isReset: true });
}
