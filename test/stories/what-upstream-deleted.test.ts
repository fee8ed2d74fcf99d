import t, { type Test } from 'tap';
import { ANY_MANIFEST } from '../helpers/client.ts';
import { makeClock } from '../helpers/clock.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';

const image = imageOf('app', [100]);
const latest = '/v2/team/app/manifests/latest';
const byDigest = `/v2/team/app/manifests/${image.manifest.digest}`;
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const TTL_MS = 60_000;
const GRANT_MS = 3_600_000;

async function start(t: Test, settings: object) {
  const clock = makeClock();
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const upstreams = {
    'registry.test': { at: registry, tagTtlMs: TTL_MS, grantTtlMs: GRANT_MS, retries: 0, ...settings },
  };
  const mirror = await startMirror(t, { upstreams, now: clock.now });
  for (const path of [latest, layer]) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  const restarted = async (offline = false) => {
    await mirror.close();
    return await startMirror(t, { upstreams, now: clock.now, directory: mirror.directory, offline });
  };
  return { clock, registry, mirror, restarted };
}

function removeAll(registry: Registry): void {
  registry.untag('team/app', 'latest');
  for (const { digest } of [image.manifest, image.config, ...image.layers])
    registry.remove('team/app', digest);
}

t.test('a tag that upstream has deleted is gone, and what it was too when its time is over', async (t) => {
  const { clock, registry, mirror, restarted } = await start(t, {});
  removeAll(registry);
  clock.pass(TTL_MS);
  t.equal((await mirror.manifest(latest)).status, 404);
  t.equal((await mirror.manifest(byDigest)).status, 200, 'who knows its digest may go on');
  t.equal((await mirror.get(layer)).status, 200);
  clock.pass(GRANT_MS);
  t.equal((await mirror.manifest(byDigest)).status, 404);
  t.equal((await mirror.get(layer)).status, 404);
  t.equal((await mirror.head(layer)).status, 404);
  const next = await restarted(true);
  for (const path of [latest, byDigest, layer]) t.equal((await next.manifest(path)).status, 404, 'for good');
});

t.test('kept: served stale, with the reason, and asked for once in a while', async (t) => {
  const { clock, registry, mirror, restarted } = await start(t, { keepDeleted: true });
  removeAll(registry);
  clock.pass(GRANT_MS);
  const before = registry.asked.length;
  for (const path of [latest, byDigest, layer]) {
    for (let n = 0; n < 3; n++) {
      const { status, headers } = await mirror.manifest(path);
      t.equal(status, 200);
      t.equal(headers['cache-status'], 'hubcap; fwd=stale; fwd-status=404');
      t.match(headers.warning, /^299 - ".*no longer has.*"$/);
      t.equal((await mirror.head(path)).headers['cache-status'], 'hubcap; fwd=stale; fwd-status=404');
    }
  }
  t.equal(registry.asked.length - before, 3, 'one question for each');
  t.equal(
    (await mirror.manifest('/v2/team/app/manifests/never')).status,
    404,
    'what was never there is not kept',
  );

  registry.push('team/app', image, 'latest');
  clock.pass(TTL_MS);
  for (const path of [latest, byDigest, layer]) {
    const { headers } = await mirror.manifest(path);
    t.notOk(headers.warning, 'it is back');
    t.match(headers['cache-status'], /^hubcap; hit/);
  }

  removeAll(registry);
  clock.pass(GRANT_MS);
  const next = await restarted();
  for (const path of [latest, byDigest, layer]) t.equal((await next.manifest(path)).status, 200, path);
});

t.test('kept: a tag that HEAD saw move before it was deleted is what it was', async (t) => {
  const { clock, registry, mirror } = await start(t, { keepDeleted: true });
  registry.push('team/app', imageOf('next', [100]), 'latest');
  clock.pass(TTL_MS);
  await mirror.head(latest, { headers: ANY_MANIFEST });
  registry.untag('team/app', 'latest');
  clock.pass(TTL_MS);
  for (const answer of [
    await mirror.head(latest, { headers: ANY_MANIFEST }),
    await mirror.manifest(latest),
  ]) {
    t.equal(answer.status, 200);
    t.equal(answer.headers['docker-content-digest'], image.manifest.digest);
  }
});
