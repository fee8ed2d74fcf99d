import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { ANY_MANIFEST } from '../helpers/client.ts';
import { makeClock } from '../helpers/clock.ts';
import { type Image, imageOf, MIB } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import type { Asked } from '../helpers/persona-server.ts';
import { failing, only, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

// A client that is told a digest by HEAD asks for that digest next. Where it is then told 404, containerd begins anew,
// for ever (spegel#1378).
const [old, young] = [imageOf('old', [1000]), imageOf('young', [1000])];
const latest = '/v2/team/app/manifests/latest';
const byDigest = (digest: unknown): string => `/v2/team/app/manifests/${digest}`;
const TTL_MS = 60_000;

async function start(
  t: Test,
  { maxBytes, ...settings }: { maxBytes?: number } & Record<string, unknown> = {},
) {
  const clock = makeClock();
  const registry = await startRegistry(t);
  registry.push('team/app', old, 'latest');
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: TTL_MS, retries: 0, ...settings } };
  const bounds = maxBytes === undefined ? {} : { maxBytes };
  const mirror = await startMirror(t, { upstreams, now: clock.now, ...bounds });
  const restarted = async (offline: boolean) => {
    await mirror.close();
    return await startMirror(t, { upstreams, now: clock.now, directory: mirror.directory, offline });
  };
  return { clock, registry, mirror, restarted };
}

async function headOf(mirror: RunningMirror): Promise<unknown> {
  const { status, headers } = await mirror.head(latest, { headers: ANY_MANIFEST });
  return status === 200 ? headers['docker-content-digest'] : status;
}

/** What containerd does: HEAD by tag, then all by digest. @returns what it could not get */
async function pull(mirror: RunningMirror, images: readonly Image[]): Promise<unknown[]> {
  const digest = await headOf(mirror);
  const image = images.find(({ manifest }) => manifest.digest === digest);
  if (!image) return [digest];
  const paths = [image.config, ...image.layers].map((blob) => `/v2/team/app/blobs/${blob.digest}`);
  const failed: unknown[] = [];
  for (const path of [byDigest(digest), ...paths]) {
    for (const { status } of [await mirror.head(path), await mirror.manifest(path)])
      if (status !== 200) failed.push(`${path}: ${status}`);
  }
  return failed;
}

for (const settings of [{}, { staleWhileRevalidateMs: 600_000 }, { refreshAhead: true }, { tagTtlMs: 0 }]) {
  t.test(`a tag that moves again and again: ${JSON.stringify(settings)}`, async (t) => {
    const { clock, registry, mirror } = await start(t, settings);
    const images = Array.from({ length: 8 }, (_, n) => imageOf(`moving ${n}`, [1000]));
    for (const [n, image] of images.entries()) {
      registry.push('team/app', image, 'latest');
      for (const share of [0.9, 0.2]) {
        clock.pass(TTL_MS * share);
        const pulls = Array.from({ length: 4 }, () => pull(mirror, images));
        t.same((await Promise.all(pulls)).flat(), [], `the image ${n}`);
      }
    }
  });
}

t.test('what was absent by digest before it was pushed is there when its tag is', async (t) => {
  const { clock, registry, mirror } = await start(t, { notFoundTtlMs: 3_600_000 });
  const blob = young.layers[0]?.digest;
  for (const path of [byDigest(young.manifest.digest), `/v2/team/app/blobs/${blob}`]) {
    t.equal((await mirror.manifest(path)).status, 404);
    t.equal((await mirror.head(path)).status, 404);
  }
  registry.push('team/app', young, 'latest');
  clock.pass(1);
  t.same(await pull(mirror, [young]), []);
});

t.test('an outage between HEAD and GET: HEAD says what can be had', async (t) => {
  const { clock, registry, mirror } = await start(t);
  t.same(await pull(mirror, [old]), []);
  await mirror.settled();
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await headOf(mirror), young.manifest.digest);
  registry.act(failing(503));
  t.equal((await mirror.manifest(byDigest(young.manifest.digest))).status, 502, 'trouble, not absence');
  t.same(await pull(mirror, [old]), [], 'who begins anew gets the image that is here');
  registry.act();
  clock.pass(10_000);
  t.same(await pull(mirror, [young]), [], 'and the new one when it can be had');
});

t.test('the same by tag', async (t) => {
  const { clock, registry, mirror } = await start(t);
  t.same(await pull(mirror, [old]), []);
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await headOf(mirror), young.manifest.digest);
  registry.act(failing(503));
  const served = await mirror.manifest(latest);
  t.equal(served.headers['docker-content-digest'], old.manifest.digest);
  t.equal(await headOf(mirror), old.manifest.digest, 'HEAD agrees');
});

t.test('what is served in place of what a tag moved to is as old as it is', async (t) => {
  const { clock, registry, mirror } = await start(t);
  t.same(await pull(mirror, [old]), []);
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await headOf(mirror), young.manifest.digest);
  registry.act(failing(503));
  t.match((await mirror.manifest(latest)).headers, {
    age: '60',
    'docker-content-digest': old.manifest.digest,
  });
});

t.test('all who ask by HEAD for a digest that is not here share one question', async (t) => {
  const { registry, mirror } = await start(t);
  const gate = makeGate();
  registry.act(silent(gate.opened));
  const asking = Array.from({ length: 20 }, () => mirror.head(byDigest(old.manifest.digest)));
  await mirror.reached();
  await until('upstream is asked', () => registry.asked.length > 0);
  gate.open();
  t.ok((await Promise.all(asking)).every(({ status }) => status === 200));
  t.equal(registry.asked.length, 1);
});

t.test('offline after HEAD saw a tag move: it is what is here', async (t) => {
  const { clock, registry, mirror, restarted } = await start(t);
  t.same(await pull(mirror, [old]), []);
  await mirror.settled();
  registry.push('team/app', young, 'latest');
  clock.pass(TTL_MS);
  t.equal(await headOf(mirror), young.manifest.digest);
  t.same(await pull(await restarted(true), [old]), []);
});

t.test('a tag that was evicted is not told of while nobody can be asked', async (t) => {
  const { clock, registry, mirror } = await start(t, { maxBytes: MIB, staleWhileRevalidateMs: 3_600_000 });
  t.same(await pull(mirror, [old]), []);
  for (let n = 0; n < 4; n++) {
    registry.push('team/app', imageOf(`large ${n}`, [300_000]), `large${n}`);
    await mirror.manifest(`/v2/team/app/manifests/large${n}`);
    const [layer] = imageOf(`large ${n}`, [300_000]).layers;
    await mirror.get(`/v2/team/app/blobs/${layer?.digest}`);
    await mirror.settled();
  }
  clock.pass(TTL_MS);
  registry.act(failing(503));
  const digest = await headOf(mirror);
  if (digest !== 502)
    t.equal((await mirror.manifest(byDigest(digest))).status, 200, 'it is told of where it is here');
  t.not(digest, 404, 'trouble is not absence');
});

const headOfTag = ({ method, path }: Asked): boolean => method === 'HEAD' && path === latest;

t.test('a false digest at HEAD is told once', async (t) => {
  const { clock, registry, mirror } = await start(t);
  const nothing = digestOf('nothing');
  registry.act(
    only(headOfTag, async (_asked, answer) => {
      const plain = await answer();
      return { ...plain, headers: { ...plain.headers, 'docker-content-digest': nothing } };
    }),
  );
  t.equal(await headOf(mirror), nothing);
  t.equal((await mirror.manifest(byDigest(nothing))).status, 404);
  t.same(await pull(mirror, [old]), [], 'then the bytes decide');
  clock.pass(TTL_MS);
  t.equal(await headOf(mirror), nothing, 'upstream is believed again');
  t.equal((await mirror.manifest(byDigest(nothing))).status, 404);
  t.same(await pull(mirror, [old]), []);
});

t.test('a manifest that upstream has deleted is what no tag is', async (t) => {
  const { clock, registry, mirror } = await start(t, { grantTtlMs: 1000, tagTtlMs: 3_600_000 });
  t.same(await pull(mirror, [old]), []);
  registry.push('team/app', young, 'latest');
  registry.remove('team/app', old.manifest.digest);
  clock.pass(1000);
  t.equal(await headOf(mirror), old.manifest.digest, 'its time is not over');
  t.equal((await mirror.manifest(byDigest(old.manifest.digest))).status, 404);
  t.same(await pull(mirror, [young]), [], 'nobody is sent there again');
});
