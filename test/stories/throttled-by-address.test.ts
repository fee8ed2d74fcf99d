import t, { type Test } from 'tap';
import { ANY_MANIFEST, ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { askedTooOften, failing, only, outOfPulls, pulls, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const image = imageOf('app', [1000]);
const latest = '/v2/team/app/manifests/latest';
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const logins = ['anna', 'bert'].map((username) => ({ username, password: `secret-of-${username}` }));

async function start(t: Test, tagTtlMs = 0) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const tokens = await startTokenServer(t, { logins });
  registry.act(tokened(tokens));
  const credentials = logins.map((login) => ({ kind: 'password' as const, ...login }));
  const upstream = { at: registry, realms: [tokens.host], credentials, private: ['*'], tagTtlMs };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': upstream } });
  return { registry, tokens, mirror };
}

t.test('no other account is tried, and everything is answered from memory', async (t) => {
  const { registry, tokens, mirror } = await start(t);
  t.equal((await mirror.manifest(latest)).status, 200);
  const [asked, issued] = [registry.asked.length, tokens.asked.length];
  registry.act(askedTooOften({ 'retry-after': '120' }));
  const first = await mirror.manifest('/v2/team/app/manifests/unknown');
  t.equal(first.status, 429);
  t.equal(first.headers['retry-after'], '120');
  t.match(ociErrorOf(first), { message: /from this address/ });
  t.notMatch(first.body.toString(), /credentials/, 'which would not help');
  for (const path of [
    '/v2/team/app/manifests/other',
    layer,
    '/v2/team/new/tags/list',
    '/v2/team/new/manifests/x',
  ]) {
    const { status, headers } = await mirror.get(path);
    t.equal(status, 429, path);
    t.ok(Number(headers['retry-after']) > 110);
  }
  const known = await mirror.manifest(latest);
  t.match([known.status, known.headers['cache-status']], [200, 'hubcap; fwd=stale; fwd-status=429']);
  t.same([registry.asked.length, tokens.asked.length], [asked + 1, issued]);
  t.ok(mirror.status().upstreams[0]?.restingUntil);
  t.ok((await mirror.metric('hubcap_upstream_resting_seconds', 'reason="requests"')) > 110);
});

t.test('40 requests for an unknown tag after a 429', async (t) => {
  const limits = {
    askedTooOften: askedTooOften(),
    outOfPulls: only(pulls, outOfPulls()),
    'bare 429': failing(429),
  };
  for (const [name, persona] of Object.entries(limits)) {
    const { registry, tokens, mirror } = await start(t);
    registry.act(tokened(tokens), persona);
    const path = '/v2/team/app/manifests/latest';
    t.equal((await mirror.manifest(path)).status, 429, name);
    const { length } = registry.asked;
    for (let n = 0; n < 20; n++) t.equal((await mirror.manifest(path)).status, 429);
    await Promise.all(Array.from({ length: 20 }, () => mirror.manifest(path)));
    t.equal(registry.asked.length, length, `${name}: asked by none of 40`);
    const rests = await mirror.metric('hubcap_upstream_resting_seconds');
    t.ok(rests > 25, `${name}: for half a minute at first, where upstream names no time`);
  }
});

t.test('40 clients that ask by HEAD and then GET, as containerd does, after a pull limit', async (t) => {
  const { registry, tokens, mirror } = await start(t, 60_000);
  registry.act(tokened(tokens), only(pulls, outOfPulls({ 'retry-after': '600' })));
  t.equal((await mirror.manifest('/v2/team/app/manifests/latest')).status, 429);
  const { length } = registry.asked;
  const pullOnce = async (tag: string): Promise<number[]> => {
    const head = await mirror.head(`/v2/team/app/manifests/${tag}`, { headers: ANY_MANIFEST });
    const digest = head.headers['docker-content-digest'];
    return [head.status, (await mirror.manifest(`/v2/team/app/manifests/${digest ?? tag}`)).status];
  };
  for (const statuses of await Promise.all(Array.from({ length: 20 }, () => pullOnce('latest'))))
    t.same(statuses, [200, 429]);
  for (const statuses of await Promise.all(Array.from({ length: 20 }, () => pullOnce('nope'))))
    t.same(statuses, [404, 404]);
  t.ok(registry.asked.length - length <= 3, `${registry.asked.length - length} requests`);
});

t.test('a failure is what upstream was asked for and did not give, not what memory answers', async (t) => {
  for (const [persona, count] of [
    [askedTooOften({ 'retry-after': '120' }), 1],
    [only(pulls, outOfPulls({ 'retry-after': '120' })), 2], // of two accounts that were asked, as one question
  ] as const) {
    const { registry, tokens, mirror } = await start(t);
    registry.act(tokened(tokens), persona);
    const path = '/v2/team/app/manifests/unknown';
    const { length } = registry.asked;
    for (let n = 0; n < 10; n++) t.equal((await mirror.manifest(path)).status, 429);
    const asked = registry.asked.slice(length).filter(({ status }) => status === 429).length;
    t.equal(asked, count);
    t.equal(await mirror.metric('hubcap_upstream_failures_total', 'reason="throttled"'), 1);
  }
});
