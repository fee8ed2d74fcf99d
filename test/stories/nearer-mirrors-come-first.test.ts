import t from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import type { UpstreamConfig } from '../../src/config/schema.ts';
import { ociErrorOf } from '../helpers/client.ts';
import { blobOf, imageOf, KIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import {
  blobDownloads,
  breaking,
  corrupting,
  failing,
  gzipping,
  htmlWith200,
  only,
  outOfPulls,
  pulls,
  resetting,
  silent,
  stalling,
  tokened,
} from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [400 * KIB]);
const latest = '/v2/team/app/manifests/latest';
const byDigest = `/v2/team/app/manifests/${image.manifest.digest}`;
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const { tls } = upstreamDefaults;

async function start(t: Parameters<typeof startRegistry>[0], settings: Partial<UpstreamConfig> = {}) {
  const [near, registry] = [await startRegistry(t), await startRegistry(t)];
  for (const holder of [near, registry]) holder.push('team/app', image, 'latest');
  const mirrors = [{ url: new URL(near.url), realms: [], credentials: [], tls }];
  const at = { at: registry, mirrors, tagTtlMs: 0, ...settings };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  return { near, registry, mirror };
}

/** A whole pull: by tag, by digest, config and layer. */
async function pull(t: Parameters<typeof startRegistry>[0], mirror: Awaited<ReturnType<typeof startMirror>>) {
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal((await mirror.manifest(byDigest)).status, 200);
  t.same((await mirror.get(layer)).body, image.layers[0]?.body);
}

t.test('what a mirror has is never asked for at the registry', async (t) => {
  const { near, registry, mirror } = await start(t);
  await pull(t, mirror);
  t.equal(registry.asked.length, 0);
  t.ok(near.asked.length > 0);
  t.match(mirror.status().upstreams[0]?.endpoints, [
    { url: `${near.url}/`, state: 'up' },
    { url: `${registry.url}/`, state: 'up' },
  ]);
});

t.test('a mirror may keep the registry below a name of its own', async (t) => {
  const [near, registry, tokens] = [
    await startRegistry(t),
    await startRegistry(t),
    await startTokenServer(t),
  ];
  near.push('hub/team/app', image, 'latest');
  near.act(tokened(tokens));
  const mirrors = [{ url: new URL(`${near.url}/v2/hub`), realms: [tokens.host], credentials: [], tls }];
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, mirrors } } });
  await pull(t, mirror);
  t.equal(registry.asked.length, 0);
  t.equal(tokens.issued.length, 1, 'the scope has the whole name');
});

t.test('what a mirror does not have, or refuses, comes from the registry', async (t) => {
  for (const persona of [failing(404), failing(401), failing(403), failing(429, { 'retry-after': '60' })]) {
    const { near, registry, mirror } = await start(t);
    near.act(persona);
    await pull(t, mirror);
    t.ok(registry.asked.length > 0);
  }
});

t.test('a mirror that fails is not waited for, and then left alone', async (t) => {
  const gate = makeGate();
  t.teardown(gate.open);
  const timeouts = {
    connectMs: 1000,
    headersMs: 300,
    idleMs: 1000,
    stallMs: 0,
    confirmMs: 400,
    probeMs: 600_000,
  };
  for (const persona of [failing(503), silent(gate.opened), htmlWith200()]) {
    const { near, mirror } = await start(t, { timeouts });
    near.act(persona);
    await pull(t, mirror);
    await pull(t, mirror);
    t.equal(near.count('GET', '/manifests/latest') + near.count('HEAD', '/manifests/latest'), 1);
  }
});

t.test('a mirror that is down costs nothing but an attempt', async (t) => {
  const { near, registry, mirror } = await start(t);
  await near.close();
  await pull(t, mirror);
  t.equal(registry.count('GET', '/blobs/'), 1);
});

t.test('a download that breaks at the mirror goes on at the registry', async (t) => {
  const { near, registry, mirror } = await start(t);
  await mirror.manifest(latest);
  const gate = makeGate();
  t.teardown(gate.open);
  near.act(only(blobDownloads, stalling(100 * KIB, gate.opened)));
  const received = mirror.get(layer);
  await until('a part is here', () => (mirror.status().fills[0]?.bytes ?? 0) >= 100 * KIB);
  await near.close();
  t.same((await received).body, image.layers[0]?.body);
  const asked = registry.asked.filter(blobDownloads);
  t.equal(asked.length, 1);
  t.equal(asked[0]?.headers.range, `bytes=${100 * KIB}-`, 'from the frontier');
  t.equal(asked[0]?.headers['if-range'], undefined, 'the mirror’s validator is not the registry’s');
});

t.test('what comes wrong from a mirror is asked for at the registry', async (t) => {
  const { near, registry, mirror } = await start(t);
  near.act(corrupting(10));
  t.notOk((await mirror.get(layer)).isComplete, 'who has seen a part of it is let go');
  await mirror.settled();
  await pull(t, mirror);
  t.equal(registry.count('GET', '/blobs/'), 1);
  t.ok(registry.count('GET', '/manifests/') > 0);
});

t.test('only the registry can say that there is no such thing', async (t) => {
  const { registry, mirror } = await start(t);
  const missing = await mirror.manifest('/v2/team/app/manifests/none');
  t.equal(missing.status, 404);
  t.equal(registry.count('GET', '/manifests/none'), 1);
  const blob = blobOf(100, 'nobody has it');
  t.equal((await mirror.get(`/v2/team/app/blobs/${blob.digest}`)).status, 404);
  await registry.close();
  const unsaid = await mirror.manifest('/v2/team/app/manifests/never');
  t.equal(unsaid.status, 503, 'the mirror does not have it, the registry cannot say');
  t.equal(ociErrorOf(unsaid).code, 'UNAVAILABLE');
  await pull(t, mirror);
});

t.test('a login goes to the endpoint that it is for', async (t) => {
  const [nearTokens, tokens] = [await startTokenServer(t), await startTokenServer(t)];
  const { near, registry, mirror } = await startWithLogins(t, nearTokens.host, tokens.host);
  near.act(tokened(nearTokens));
  registry.act(tokened(tokens));
  await pull(t, mirror);
  near.act(failing(404));
  await mirror.manifest(latest);
  for (const [server, own, other] of [
    [nearTokens, 'near-secret', 'far-secret'],
    [tokens, 'far-secret', 'near-secret'],
  ] as const) {
    const logins = server.asked.map(({ headers }) => decode(headers.authorization));
    t.ok(logins.some((login) => login.endsWith(own)));
    t.notOk(logins.some((login) => login.endsWith(other)));
  }
  for (const asked of [...near.asked, ...registry.asked])
    t.notMatch(asked.headers.authorization ?? '', /Basic/);
  t.notMatch(mirror.logs.join('\n'), /near-secret|far-secret/);
});

t.test('both at once: fifty clients of a mirror that fails are one question to the registry', async (t) => {
  const { near, registry, mirror } = await start(t);
  near.act(failing(500));
  const answers = await Promise.all(Array.from({ length: 50 }, () => mirror.manifest(latest)));
  t.ok(answers.every(({ status }) => status === 200));
  t.equal(registry.count('GET', '/manifests/latest'), 1);
  await until('all is quiet', () => near.answering === 0);
});

async function startWithLogins(t: Parameters<typeof startRegistry>[0], nearRealm: string, realm: string) {
  const [near, registry]: [Registry, Registry] = [await startRegistry(t), await startRegistry(t)];
  for (const holder of [near, registry]) holder.push('team/app', image, 'latest');
  const login = (username: string, password: string) => ({ kind: 'password' as const, username, password });
  const mirrors = [
    { url: new URL(near.url), realms: [nearRealm], credentials: [login('near', 'near-secret')], tls },
  ];
  const credentials = [login('far', 'far-secret')];
  const at = { at: registry, realms: [realm], credentials, mirrors, tagTtlMs: 0, private: ['team/*'] };
  return { near, registry, mirror: await startMirror(t, { upstreams: { 'registry.test': at } }) };
}

function decode(header: string | undefined): string {
  return Buffer.from(header?.replace(/^Basic /, '') ?? '', 'base64').toString();
}

t.test('a mirror that sends blobs in a way that cannot be used is passed over', async (t) => {
  for (const persona of [only(blobDownloads, gzipping()), otherPart]) {
    const { near, registry, mirror } = await start(t);
    near.act(persona);
    await mirror.manifest(latest);
    t.same((await mirror.get(layer)).body, image.layers[0]?.body);
    t.equal(registry.count('GET', '/blobs/'), 1);
  }
});

t.test('a mirror that answers and then says nothing more is passed over', async (t) => {
  const gate = makeGate();
  t.teardown(gate.open);
  const timeouts = { ...upstreamDefaults.timeouts, stallMs: 0, probeMs: 0, idleMs: 300 };
  for (const persona of [breaking(0), resetting(0), stalling(0, gate.opened)]) {
    const { near, registry, mirror } = await start(t, { timeouts });
    await mirror.manifest(latest);
    near.act(only(blobDownloads, persona));
    t.same((await mirror.get(layer)).body, image.layers[0]?.body);
    t.equal(registry.count('GET', '/blobs/'), 1);
  }
});

t.test('lists that a mirror makes up are asked for at the registry', async (t) => {
  for (const persona of [htmlWith200(), gzipping(), notJson]) {
    const { near, mirror } = await start(t);
    near.act(persona);
    const list = await mirror.get('/v2/team/app/tags/list');
    t.equal(list.status, 200);
    t.same(JSON.parse(list.body.toString()).tags, ['latest']);
  }
});

t.test('a mirror whose pulls are used up is passed over, and not asked again before its time', async (t) => {
  const { near, registry, mirror } = await start(t);
  near.act(only(pulls, outOfPulls({ 'retry-after': '600' })));
  for (let n = 0; n < 3; n++) await pull(t, mirror);
  t.equal(near.count('GET', '/manifests/'), 1, 'a pull was refused once');
  t.equal(registry.count('GET', '/manifests/latest'), 1);
  t.ok(near.count('GET', '/blobs/') > 0, 'what costs no pull still comes from nearby');
  const { accounts = [] } = mirror.status().upstreams[0] ?? {};
  t.ok(accounts.some(({ account }) => account.endsWith(`@${near.host}`)));
});

t.test('a registry whose pulls are used up leaves what its mirror has to it', async (t) => {
  const { near, registry, mirror } = await start(t);
  registry.act(only(pulls, outOfPulls({ 'retry-after': '600' })));
  registry.push('team/app', imageOf('far', [10]), 'far');
  t.equal((await mirror.manifest('/v2/team/app/manifests/far')).status, 429);
  await pull(t, mirror);
  t.equal((await mirror.manifest('/v2/team/app/manifests/none')).status, 429, 'not absent: nobody could say');
  t.equal(registry.count('GET', '/manifests/'), 1);
  t.ok(near.asked.length > 0);
});

/** Gives another range than the one that was asked for. */
const otherPart: Persona = async (asked, answer) => {
  if (!blobDownloads(asked)) return await answer();
  asked.headers.range = 'bytes=5-9';
  return await answer();
};

const notJson: Persona = () => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from('{"name":'),
});
