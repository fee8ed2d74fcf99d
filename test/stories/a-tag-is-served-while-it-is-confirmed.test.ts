import t, { type Test } from 'tap';
import { ANY_MANIFEST } from '../helpers/client.ts';
import { makeClock } from '../helpers/clock.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Asked, Persona } from '../helpers/persona-server.ts';
import { failing, manifests, only, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const [old, young] = [imageOf('old', [100]), imageOf('young', [100])];
const latest = '/v2/team/app/manifests/latest';
const TTL_MS = 60_000;
const BEHIND_MS = 600_000;
const manifestBodies = (asked: Asked): boolean => asked.method === 'GET' && manifests(asked);

async function start(t: Test, settings: object) {
  const clock = makeClock();
  const registry = await startRegistry(t);
  registry.push('team/app', old, 'latest');
  const at = { at: registry, tagTtlMs: TTL_MS, retries: 0, ...settings };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at }, now: clock.now });
  t.equal((await mirror.manifest(latest)).status, 200);
  const digest = async (): Promise<unknown> =>
    (await mirror.manifest(latest)).headers['docker-content-digest'];
  return { clock, registry, mirror, digest };
}

t.test('a tag whose time is over is served at once, however silent upstream is', async (t) => {
  const { clock, registry, mirror } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  const gate = makeGate();
  registry.act(silent(gate.opened));
  clock.pass(TTL_MS + 11_500);
  for (let n = 0; n < 5; n++) {
    const { status, headers } = await mirror.manifest(latest);
    t.equal(status, 200);
    t.equal(headers['cache-status'], 'hubcap; hit; ttl=-12; detail=revalidating');
    t.equal(headers.age, '71', 'as old as upstream’s word');
    t.notOk(headers.warning);
  }
  t.equal((await mirror.head(latest)).headers['cache-status'], 'hubcap; hit; ttl=-12; detail=revalidating');
  await until('upstream is asked', () => registry.count('HEAD') === 1);
  gate.open();
  await until(
    'it has said',
    async () => (await mirror.manifest(latest)).headers['cache-status'] === 'hubcap; hit',
  );
  t.equal(registry.count('HEAD'), 1, 'one question for all');
  t.equal(registry.count('GET'), 1);
});

t.test('a tag that moved is fetched behind, once', async (t) => {
  const { clock, registry, digest } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await digest(), old.manifest.digest);
  await until('the new one is served', async () => (await digest()) === young.manifest.digest);
  t.equal(registry.count('HEAD'), 1);
  t.equal(registry.count('GET'), 2);
});

t.test('what cannot be confirmed behind is stale, and waited for when its second time is over', async (t) => {
  const { clock, registry, mirror, digest } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.act(failing(503));
  clock.pass(TTL_MS);
  t.match((await mirror.manifest(latest)).headers['cache-status'], /revalidating/);
  await until('it is said', async () => (await mirror.manifest(latest)).headers.warning !== undefined);
  t.equal(registry.count('HEAD'), 1, 'upstream has a pause');
  registry.act();
  registry.push('team/app', young, 'latest');
  clock.pass(BEHIND_MS);
  t.equal(await digest(), young.manifest.digest, 'nobody is served what is older than that');
});

t.test('a manifest that cannot be had behind: what the tag was is served meanwhile', async (t) => {
  const { clock, registry, mirror, digest } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.push('team/app', young, 'latest');
  registry.act(only(manifestBodies, failing(429, { 'retry-after': '20' })));
  clock.pass(TTL_MS);
  t.equal(await digest(), old.manifest.digest);
  await until('it is refused', () => registry.count('GET') === 2);
  for (let n = 0; n < 5; n++) {
    t.equal(await digest(), old.manifest.digest);
    t.equal((await mirror.head(latest)).headers['docker-content-digest'], old.manifest.digest, 'HEAD agrees');
  }
  registry.act();
  clock.pass(BEHIND_MS);
  t.equal(await digest(), young.manifest.digest);
});

/** Says with each manifest how many pulls are left. */
const counting: Persona = only(manifests, async (_asked, answer) => {
  const plain = await answer();
  const left = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '5;w=21600' };
  return { ...plain, headers: { ...plain.headers, ...left } };
});

t.test('the last pulls of a limit are kept for those who wait', async (t) => {
  const { clock, registry, mirror, digest } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.act(counting);
  clock.pass(TTL_MS);
  await digest();
  await until('it is confirmed', () => registry.count('HEAD') === 1);
  await until(
    'it is fresh',
    async () => (await mirror.manifest(latest)).headers['cache-status'] === 'hubcap; hit',
  );
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await digest(), old.manifest.digest);
  await until('it is not fetched', async () => (await mirror.manifest(latest)).headers.warning !== undefined);
  t.equal(registry.count('GET'), 1);
  t.equal((await mirror.head(latest)).headers['docker-content-digest'], old.manifest.digest, 'HEAD agrees');
  clock.pass(BEHIND_MS);
  t.equal(await digest(), young.manifest.digest);
  t.equal(registry.count('GET'), 2);
});

t.test('a tag that is only looked at is fetched by nobody', async (t) => {
  const { clock, registry, mirror } = await start(t, { refreshAhead: true });
  const other = '/v2/team/app/manifests/other';
  const look = () => mirror.head(other, { headers: ANY_MANIFEST });
  registry.push('team/app', young, 'other');
  t.equal((await look()).headers['docker-content-digest'], young.manifest.digest);
  registry.push('team/app', old, 'other');
  clock.pass(TTL_MS - 1);
  await look();
  await until(
    'it is seen to move',
    async () => (await look()).headers['docker-content-digest'] === old.manifest.digest,
  );
  t.equal(registry.count('GET'), 1);
});

t.test('a refusal found behind is told to the next one', async (t) => {
  const { clock, registry, mirror } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.act(failing(403));
  clock.pass(TTL_MS);
  t.equal((await mirror.manifest(latest)).status, 200);
  await until('it is told', async () => (await mirror.manifest(latest)).status === 403);
  t.ok(
    mirror.logs.some((line) => line.includes('could not be confirmed behind') && line.includes('team/app')),
  );
  registry.act();
  t.equal((await mirror.manifest(latest)).status, 200, 'and is not remembered');
});

t.test('a deletion found behind is told to the next one', async (t) => {
  const { clock, registry, mirror } = await start(t, { staleWhileRevalidateMs: BEHIND_MS });
  registry.untag('team/app', 'latest');
  clock.pass(TTL_MS);
  t.equal((await mirror.manifest(latest)).status, 200);
  await until('it is told', async () => (await mirror.manifest(latest)).status === 404);
  t.equal(registry.count('HEAD'), 1);
});

t.test('a tag in use is confirmed before its time is over', async (t) => {
  const { clock, registry, mirror, digest } = await start(t, { refreshAhead: true });
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS * 0.8 - 1);
  t.equal(await digest(), old.manifest.digest);
  t.equal(registry.asked.length, 1, 'there is time');
  clock.pass(1);
  t.equal((await mirror.manifest(latest)).headers['cache-status'], 'hubcap; hit');
  await until('the new one is served', async () => (await digest()) === young.manifest.digest);
  t.equal(registry.count('HEAD'), 1, 'it is asked about once');
  clock.pass(TTL_MS * 0.8 - 1);
  t.equal(await digest(), young.manifest.digest);
  t.equal(registry.count('HEAD'), 1, 'its time began anew');
});

t.test('trouble ahead of its time changes nothing before it is over', async (t) => {
  const { clock, registry, mirror } = await start(t, { refreshAhead: true });
  registry.act(failing(500));
  clock.pass(TTL_MS - 1);
  for (let n = 0; n < 3; n++) {
    t.equal((await mirror.manifest(latest)).headers['cache-status'], 'hubcap; hit');
    await until('upstream was asked', () => registry.count('HEAD') === 1);
  }
  clock.pass(1);
  t.match((await mirror.manifest(latest)).headers['cache-status'], /fwd=stale/);
});

t.test('each tag has the time of the first pattern that matches', async (t) => {
  const freshness = [
    { pattern: '*:latest', ttlMs: 0 },
    { pattern: 'team/*', ttlMs: 10 * TTL_MS },
  ];
  const { clock, registry, mirror } = await start(t, { freshness });
  registry.push('team/app', old, 'v1');
  registry.push('other/app', old, 'v1');
  for (const path of ['/v2/team/app/manifests/v1', '/v2/other/app/manifests/v1']) await mirror.manifest(path);
  clock.pass(TTL_MS);
  const status = async (path: string) => (await mirror.manifest(path)).headers['cache-status'];
  t.equal(await status(latest), 'hubcap; hit; detail=revalidated');
  t.equal(await status('/v2/team/app/manifests/v1'), 'hubcap; hit');
  t.equal(await status('/v2/other/app/manifests/v1'), 'hubcap; hit; detail=revalidated');
});
