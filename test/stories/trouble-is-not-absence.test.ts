import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import {
  blobs,
  breaking,
  failing,
  gzipping,
  htmlWith200,
  manifests,
  only,
  outOfPulls,
  silent,
  times,
  tokened,
} from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeGate } from '../helpers/waiting.ts';

const image = imageOf('app', [100_000]);
const latest = '/v2/team/app/manifests/latest';
const byDigest = `/v2/team/app/manifests/${image.manifest.digest}`;
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const never = makeGate();
t.teardown(never.open);

async function start(t: Parameters<typeof startRegistry>[0], settings = {}) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const at = { at: registry, retries: 0, timeouts: { headersMs: 200, idleMs: 200 }, ...settings };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  return { registry, mirror };
}

async function startTokened(t: Parameters<typeof startRegistry>[0]) {
  const tokens = await startTokenServer(t);
  return { tokens, ...(await start(t, { realms: [tokens.host] })) };
}

const troubles: [name: string, persona: Persona, status: number][] = [
  ['500', failing(500), 502],
  ['503', failing(503), 502],
  ['504', failing(504), 502],
  ['418', failing(418), 502],
  ['silence', silent(never.opened), 504],
  ['a page of HTML', htmlWith200(), 502],
  ['gzip', gzipping(), 502],
  ['a redirect to nowhere', failing(307, { location: 'ftp://nowhere.invalid/' }), 502],
  ['a connection that breaks', breaking(10), 503],
];
for (const [name, persona, status] of troubles) {
  t.test(`upstream answers with ${name}: ${status}`, async (t) => {
    const { registry, mirror } = await start(t);
    registry.act(persona);
    for (const path of [latest, byDigest]) {
      const answer = await mirror.manifest(path);
      t.equal(answer.status, status);
      t.equal(ociErrorOf(answer).code, 'UNAVAILABLE');
      t.ok(Number(answer.headers['retry-after']) > 0, 'says when to ask again');
    }
    const blob = await mirror.get(layer);
    t.ok(!blob.isComplete || blob.status === status, `a blob is ${status}, or broken off`);
    registry.act();
    t.equal((await mirror.manifest(latest)).status, 200, 'nothing of it is remembered');
    t.equal((await mirror.get(layer)).status, 200);
  });
}

t.test('an upstream that cannot be reached: 503', async (t) => {
  const { registry, mirror } = await start(t);
  await registry.close();
  for (const path of [latest, byDigest, layer]) t.equal((await mirror.get(path)).status, 503);
  const unknown = await startMirror(t, {
    upstreams: { 'registry.test': { at: new URL('http://nowhere.invalid'), retries: 0 } },
  });
  t.equal((await unknown.get(latest)).status, 503, 'nor by name');
});

t.test('what is transient is tried again, and the client notices nothing', async (t) => {
  const { registry, mirror } = await start(t, { retries: 1 });
  registry.act(only(manifests, times(1, failing(503))), only(blobs, times(1, failing(500))));
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal((await mirror.get(layer)).status, 200);
});

t.test('429 is said honestly, and answered from memory until its time', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(only(manifests, outOfPulls({ 'retry-after': '120' })));
  const first = await mirror.manifest(latest);
  t.equal(first.status, 429);
  t.equal(ociErrorOf(first).code, 'TOOMANYREQUESTS');
  t.equal(first.headers['retry-after'], '120');
  const { length } = registry.asked;
  t.equal(length, 1, 'it is not tried again at once');
  for (let n = 0; n < 5; n++) {
    const answer = await mirror.manifest(n % 2 === 0 ? latest : byDigest);
    t.equal(answer.status, 429);
    t.ok(Number(answer.headers['retry-after']) <= 120);
    t.ok(Number(answer.headers['retry-after']) >= 110);
  }
  t.equal(registry.asked.length, length, 'clients that hammer do not reach upstream');
  t.equal((await mirror.get(layer)).status, 200, 'a pull limit is about manifests: blobs may pass');
});

t.test('429 for a blob rests everything', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(failing(429, { 'retry-after': '60' }));
  t.equal((await mirror.get(layer)).status, 429);
  t.equal((await mirror.manifest(latest)).status, 429);
  t.equal(registry.asked.length, 1);
});

t.test('a token server that throttles is believed too', async (t) => {
  const { registry, mirror, tokens } = await startTokened(t);
  tokens.act(failing(429, { 'retry-after': '90' }));
  registry.act(tokened(tokens));
  const first = await mirror.manifest(latest);
  t.equal(first.status, 429);
  t.equal(first.headers['retry-after'], '90');
  const { length } = tokens.asked;
  t.equal((await mirror.manifest(byDigest)).status, 429);
  t.equal(tokens.asked.length, length, 'it is not asked before its time');
});

t.test('absence is said, and remembered briefly', async (t) => {
  const { registry, mirror } = await start(t, { notFoundTtlMs: 60_000 });
  const absent = [
    ['/v2/team/app/manifests/nope', 'MANIFEST_UNKNOWN'],
    [`/v2/team/app/manifests/sha256:${'0'.repeat(64)}`, 'MANIFEST_UNKNOWN'],
    [`/v2/team/app/blobs/sha256:${'0'.repeat(64)}`, 'BLOB_UNKNOWN'],
    ['/v2/team/nothing/tags/list', 'NAME_UNKNOWN'],
  ] as const;
  for (const [path, code] of absent) {
    const first = await mirror.manifest(path);
    t.equal(first.status, 404);
    t.equal(ociErrorOf(first).code, code);
    const asked = registry.asked.length;
    t.equal((await mirror.manifest(path)).status, 404);
    t.equal(registry.asked.length, asked, `${path} is not asked for again`);
  }
});

t.test('absence is not remembered for longer than its time', async (t) => {
  const { registry, mirror } = await start(t, { notFoundTtlMs: 0 });
  t.equal((await mirror.manifest('/v2/team/app/manifests/soon')).status, 404);
  registry.push('team/app', image, 'soon');
  t.equal((await mirror.manifest('/v2/team/app/manifests/soon')).status, 200);
});
