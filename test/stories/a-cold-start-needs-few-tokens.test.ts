import t, { type Test } from 'tap';
import { blobOf, imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { silent, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [1000]);
const blobs = Array.from({ length: 49 }, (_, n) => blobOf(1000 + n, `blob ${n}`));
const paths = ['/v2/team/app/manifests/latest', ...blobs.map(({ digest }) => `/v2/team/app/blobs/${digest}`)];
const login = { username: 'anna', password: 'secret-of-anna' };

async function start(t: Test, credentials: { kind: 'password'; username: string; password: string }[] = []) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  registry.push('team/other', image, 'latest');
  for (const blob of blobs) registry.push('team/app', blob);
  const tokens = await startTokenServer(t, credentials.length > 0 ? { login } : {});
  registry.act(tokened(tokens));
  const upstream = {
    ...{ at: registry, realms: [tokens.host], credentials, connections: 64, tagTtlMs: 0 },
    timeouts: { confirmMs: 300 },
  };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': upstream } });
  const challenges = (): number => registry.asked.filter(({ status }) => status === 401).length;
  return { registry, tokens, mirror, challenges };
}

for (const credentials of [[], [{ kind: 'password' as const, ...login }]]) {
  const who = credentials.length > 0 ? 'an account' : 'nobody';
  t.test(`50 cold requests at once in one repository, by ${who}`, async (t) => {
    const { tokens, mirror, challenges } = await start(t, credentials);
    const gate = makeGate();
    tokens.act(silent(gate.opened));
    const asked = paths.map((path) => mirror.get(path));
    await until('all are challenged', () => challenges() === 50);
    gate.open();
    t.ok((await Promise.all(asked)).every(({ status }) => status === 200));
    t.equal(tokens.asked.length, 1);
  });
}

t.test('50 requests whose token upstream ends at once', async (t) => {
  const { tokens, mirror } = await start(t);
  t.equal((await mirror.get('/v2/team/app/manifests/latest')).status, 200);
  tokens.revokeAll();
  t.ok((await Promise.all(paths.map((path) => mirror.get(path)))).every(({ status }) => status === 200));
  t.equal(tokens.asked.length, 2);
});

t.test('a slow token server holds nobody for longer than they can wait, and nobody else', async (t) => {
  const { tokens, mirror } = await start(t);
  const known = '/v2/team/other/manifests/latest';
  t.equal((await mirror.manifest(known)).status, 200);
  const gate = makeGate();
  t.teardown(gate.open);
  tokens.act(silent(gate.opened));
  const waiting = mirror.manifest('/v2/team/app/manifests/latest');
  await until('a token is waited for', () => tokens.asked.length === 2);
  t.equal(
    (await mirror.get(`/v2/team/other/blobs/${image.layers[0]?.digest}`)).status,
    200,
    'who has one goes on',
  );
  tokens.revokeAll();
  const startMs = performance.now();
  const stale = await mirror.manifest(known);
  t.equal(stale.headers['cache-status'], 'hubcap; fwd=stale', 'known content is served');
  t.ok(performance.now() - startMs < 5_000, 'within the time that a confirmation may take');
  gate.open();
  t.equal((await waiting).status, 200);
  t.equal(tokens.asked.length, 3, 'each scope was asked for once');
});
