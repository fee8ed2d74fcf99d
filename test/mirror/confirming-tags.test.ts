import t, { type Test } from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import { ManifestCache } from '../../src/mirror/manifest-cache.ts';
import { Manifests } from '../../src/mirror/manifests.ts';
import { Permission } from '../../src/mirror/permission.ts';
import { Visibility } from '../../src/mirror/visibility.ts';
import { parseReference, parseRepository } from '../../src/oci/reference.ts';
import { openDataDirectory } from '../../src/store/data-directory.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { Upstream } from '../../src/upstream/upstream.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { failing, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const TTL_MS = 60_000;
const [image, moved] = [imageOf('first', [10]), imageOf('second', [10])];
const ignore = (): undefined => undefined;

/** The mirror's manifests over a real registry and a real directory, with a clock that the test moves. */
async function start(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const clock = { nowMs: 1_000_000_000 };
  const now = (): number => clock.nowMs;
  const directory = await makeDirectory(t);
  const store = {
    removed: ignore,
    found: ignore,
    fillEnded: ignore,
    discarded: ignore,
    storageFailed: ignore,
    storageWorks: ignore,
  };
  const opened = await openDataDirectory({ directory, maxBytes: MIB, minFreeBytes: 0, observer: store, now });
  t.teardown(() => opened.close());
  const host = 'registry.test';
  const observer = {
    answered: ignore,
    received: ignore,
    token: ignore,
    resumed: ignore,
    failed: ignore,
    endpoint: ignore,
    rejected: ignore,
  };
  const url = new URL(registry.url);
  const offline = new OfflineSwitch(false);
  const settings = { ...upstreamDefaults, retries: 0, host, url, proxy: {} };
  const client = new Upstream({ ...settings, offline, observer, now });
  t.teardown(() => client.close());
  const { catalog } = opened;
  const isOffline = (): boolean => false;
  const visibility = new Visibility({ catalog, isOffline, now });
  const permission = new Permission({ catalog, visibility, isOffline, now });
  const cache = new ManifestCache(opened.store, catalog);
  const manifests = new Manifests({
    catalog,
    cache,
    permission,
    visibility,
    isOffline,
    now,
    failedBehind: ignore,
  });
  const upstream = {
    ...upstreamDefaults,
    host,
    client,
    tagTtlMs: TTL_MS,
    notFoundTtlMs: 10_000,
    confirmMs: 5_000,
  };
  const [repository, reference] = [parseRepository('team/app'), parseReference('latest')];
  if (!repository || !reference) throw new Error('these are names');
  const get = (wantsBody = true) =>
    manifests.get({ upstream, repository, reference, wantsBody, acceptsIndex: true });
  return { registry, clock, get };
}

t.test('many who ask when a tag must be confirmed are one HEAD', async (t) => {
  const { registry, clock, get } = await start(t);
  await get();
  clock.nowMs += TTL_MS;
  const gate = makeGate();
  registry.act(silent(gate.opened));
  const asking = Array.from({ length: 20 }, (_, n) => get(n % 2 === 0));
  await until('upstream is asked', () => registry.asked.length === 2);
  gate.open();
  t.ok((await Promise.all(asking)).every(({ outcome }) => outcome === 'revalidated'));
  t.equal(registry.count('HEAD'), 1);
  t.equal(registry.count('GET'), 1);
});

t.test('many who ask when a tag has moved are one HEAD and one download', async (t) => {
  const { registry, clock, get } = await start(t);
  await get();
  registry.push('team/app', moved, 'latest');
  clock.nowMs += TTL_MS;
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => get(n % 2 === 0)));
  t.ok(answers.every(({ digest }) => digest === moved.manifest.digest));
  t.equal(registry.count('HEAD'), 1);
  t.equal(registry.count('GET'), 2);
});

t.test('a tag is as old as upstream’s word', async (t) => {
  const { registry, clock, get } = await start(t);
  t.match(await get(), { outcome: 'miss', ageMs: 0 });
  clock.nowMs += TTL_MS - 1;
  t.match(await get(), { outcome: 'hit', ageMs: TTL_MS - 1 });
  clock.nowMs += 1;
  t.match(await get(), { outcome: 'revalidated', ageMs: 0 });
  clock.nowMs += TTL_MS - 1;
  t.match(await get(), { outcome: 'hit' }, 'its time begins anew');
  t.equal(registry.asked.length, 2);
});

t.test('after trouble, upstream is asked again when the pause is over', async (t) => {
  const { registry, clock, get } = await start(t);
  await get();
  clock.nowMs += TTL_MS;
  registry.act(failing(503));
  t.match(await get(), { outcome: 'stale', upstreamStatus: 503, ageMs: TTL_MS });
  registry.act();
  clock.nowMs += 9_999;
  t.match(await get(), { outcome: 'stale' });
  t.equal(registry.count('HEAD'), 1);
  clock.nowMs += 1;
  t.match(await get(), { outcome: 'revalidated', ageMs: 0 });
  t.equal(registry.count('HEAD'), 2);
});

t.test('absence ends with its time', async (t) => {
  const { registry, clock, get } = await start(t);
  registry.untag('team/app', 'latest');
  await t.rejects(get(), { code: 'MANIFEST_UNKNOWN' });
  registry.push('team/app', image, 'latest');
  clock.nowMs += 9_999;
  await t.rejects(get(), { code: 'MANIFEST_UNKNOWN' });
  t.equal(registry.asked.length, 1);
  clock.nowMs += 1;
  t.match(await get(), { outcome: 'miss' });
});
