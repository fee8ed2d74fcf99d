import t, { type Test } from 'tap';
import { makeClock } from '../helpers/clock.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [100_000]);
const latest = '/v2/team/app/manifests/latest';
const byDigest = `/v2/team/app/manifests/${image.manifest.digest}`;
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const GRANT_MS = 3_600_000;

async function start(t: Test, settings: object = {}) {
  const clock = makeClock();
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const at = { at: registry, grantTtlMs: GRANT_MS, retries: 0, timeouts: { confirmMs: 300 }, ...settings };
  const upstreams = { 'registry.test': at };
  const mirror = await startMirror(t, { upstreams, now: clock.now });
  for (const path of [latest, layer]) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  const restarted = async (offline = false) => {
    await mirror.close();
    return await startMirror(t, { upstreams, now: clock.now, directory: mirror.directory, offline });
  };
  return { clock, registry, mirror, restarted };
}

t.test('upstream’s word on a digest is renewed by one HEAD for all who ask', async (t) => {
  const { clock, registry, mirror, restarted } = await start(t);
  const { length } = registry.asked;
  clock.pass(GRANT_MS - 1);
  for (const path of [byDigest, layer]) t.equal((await mirror.get(path)).status, 200);
  t.equal(registry.asked.length, length, 'while it holds, nobody is asked');
  clock.pass(1);
  for (const path of [byDigest, layer]) {
    const gate = makeGate();
    registry.act(silent(gate.opened));
    const asking = Array.from({ length: 20 }, (_, n) => (n % 2 ? mirror.get(path) : mirror.head(path)));
    await until('upstream is asked', () => registry.answering > 0);
    await mirror.reached();
    gate.open();
    t.ok((await Promise.all(asking)).every(({ status, headers }) => status === 200 && !headers.warning));
    registry.act();
  }
  t.equal(registry.count('HEAD', image.manifest.digest), 1);
  t.equal(registry.count('HEAD', '/blobs/'), 1);
  t.equal(registry.count('GET'), 2, 'and nothing is downloaded again');
  const next = await restarted();
  clock.pass(GRANT_MS - 1);
  for (const path of [byDigest, layer]) t.equal((await next.get(path)).status, 200);
  t.equal(registry.count('HEAD'), 2, 'the renewal is remembered');
});

t.test('a tag that is confirmed renews the word on its manifest', async (t) => {
  const { clock, registry, mirror } = await start(t);
  clock.pass(GRANT_MS - 1);
  t.equal((await mirror.manifest(latest)).status, 200);
  clock.pass(GRANT_MS - 1);
  t.equal((await mirror.manifest(byDigest)).status, 200);
  t.equal(registry.count('HEAD', image.manifest.digest), 0);
});

t.test('what is known is served while upstream cannot say, and upstream has a pause', async (t) => {
  const { clock, registry, mirror, restarted } = await start(t);
  clock.pass(GRANT_MS);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(silent(never.opened));
  for (const path of [byDigest, layer]) {
    const { status, headers } = await mirror.get(path);
    t.equal(status, 200);
    t.match(headers['cache-status'], /fwd=stale/);
  }
  const { length } = registry.asked;
  for (const path of [byDigest, layer, byDigest, layer]) {
    t.match((await mirror.get(path)).headers['cache-status'], /fwd=stale/);
    t.match((await mirror.head(path)).headers['cache-status'], /fwd=stale/);
  }
  t.equal(registry.asked.length, length);
  never.open();
  registry.act(failing(503));
  clock.pass(GRANT_MS);
  const next = await restarted();
  for (const path of [byDigest, layer]) t.equal((await next.get(path)).status, 200, 'after a restart too');
  registry.act();
  clock.pass(10_000);
  for (const path of [byDigest, layer])
    t.equal((await next.get(path)).headers['cache-status'], 'hubcap; hit');
});

t.test('upstream refuses: so does hubcap', async (t) => {
  const { clock, registry, mirror } = await start(t);
  registry.act(failing(403));
  clock.pass(GRANT_MS);
  for (const path of [byDigest, layer]) t.equal((await mirror.get(path)).status, 403);
});

t.test('offline, no word ends', async (t) => {
  const { clock, restarted } = await start(t);
  clock.pass(100 * GRANT_MS);
  const next = await restarted(true);
  for (const path of [byDigest, layer])
    t.equal((await next.get(path)).headers['cache-status'], 'hubcap; hit');
});

t.test('a word that never holds: each asks', async (t) => {
  const { clock, registry, mirror } = await start(t, { grantTtlMs: 0 });
  t.equal(registry.asked.length, 2, 'what a download has proven is proven for those who asked for it');
  for (let n = 1; n <= 3; n++) {
    clock.pass(1);
    for (const path of [byDigest, layer]) t.equal((await mirror.get(path)).status, 200);
    t.equal(registry.count('HEAD'), 2 * n);
  }
});

t.test('a repository that holds a digest no more does not read on through it', async (t) => {
  const { clock, registry, mirror } = await start(t);
  registry.push('team/other', image, 'latest');
  registry.remove('team/app', image.manifest.digest);
  for (const { digest } of image.layers) registry.remove('team/app', digest);
  clock.pass(GRANT_MS);
  for (const path of [byDigest, layer]) {
    t.equal((await mirror.get(path)).status, 404);
    t.equal((await mirror.get(path.replace('team/app', 'team/other'))).status, 200, 'who holds it does');
  }
});
