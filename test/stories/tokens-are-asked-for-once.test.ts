import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blobOf, imageOf } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { failing, silent, times, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer, type TokenServerOptions } from '../helpers/token-server.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [1000, 2000, 3000]);
const latest = '/v2/team/app/manifests/latest';

async function start(t: Parameters<typeof startRegistry>[0], options: TokenServerOptions = {}) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const tokens = await startTokenServer(t, options);
  registry.act(tokened(tokens));
  const at = { at: registry, realms: [tokens.host], tagTtlMs: 0 };
  return { registry, tokens, at };
}

t.test('a whole image needs one token', async (t) => {
  const { registry, tokens, at } = await start(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 200);
  const blobs = [image.config, ...image.layers].map(({ digest }) =>
    mirror.get(`/v2/team/app/blobs/${digest}`),
  );
  t.ok((await Promise.all(blobs)).every(({ status }) => status === 200));
  t.equal(tokens.asked.length, 1);
  t.equal(tokens.asked[0]?.query.get('scope'), 'repository:team/app:pull');
  t.equal(tokens.asked[0]?.query.get('service'), 'registry.test');
  t.equal(registry.asked.filter(({ status }) => status === 401).length, 1, 'one challenge');
  t.equal(await mirror.metric('hubcap_tokens_total', 'fetched'), 1);
});

t.test('all who wait for a token wait for the same one', async (t) => {
  const { registry, tokens, at } = await start(t);
  const blobs = Array.from({ length: 12 }, (_, n) => blobOf(1000 + n, `waiter ${n}`));
  for (const blob of blobs) registry.push('team/app', blob);
  const gate = makeGate();
  tokens.act(silent(gate.opened));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  const waiting = blobs.map(({ digest }) => mirror.get(`/v2/team/app/blobs/${digest}`));
  await until(
    'all were challenged',
    () => registry.asked.filter(({ status }) => status === 401).length === 12,
  );
  gate.open();
  t.ok((await Promise.all(waiting)).every(({ status }) => status === 200));
  t.equal(tokens.asked.length, 1);
});

t.test('a token that upstream refuses gets one fresh try', async (t) => {
  const { registry, tokens, at } = await start(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  await mirror.manifest(latest);
  tokens.revokeAll();
  const again = await mirror.manifest(latest);
  t.equal(again.headers['cache-status'], 'hubcap; hit; detail=revalidated');
  t.equal(tokens.asked.length, 2);
  t.equal(registry.asked.filter(({ status }) => status === 401).length, 2);
});

t.test('a registry that refuses every token is asked twice, not for ever', async (t) => {
  const { registry, tokens, at } = await start(t);
  registry.act(tokened(tokens), failing(401, { 'www-authenticate': 'Basic realm="x"' }));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 403);
  t.equal(registry.asked.length, 2);
});

for (const fields of [['token'], ['access_token']] as ('token' | 'access_token')[][]) {
  t.test(`an answer with ${fields.join()} alone, and without its life`, async (t) => {
    const { tokens, at } = await start(t);
    tokens.fields = fields;
    tokens.lifeS = undefined;
    const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
    t.equal((await mirror.manifest(latest)).status, 200);
    t.equal((await mirror.manifest(latest)).status, 200);
    t.equal(tokens.asked.length, 1);
  });
}

t.test('identity tokens are exchanged by POST', async (t) => {
  const { tokens, at } = await start(t, { refreshToken: 'identity-secret' });
  const file = join(await makeDirectory(t), 'config.json');
  const auth = Buffer.from('someone:ignored').toString('base64');
  await writeFile(
    file,
    JSON.stringify({ auths: { [new URL(at.at.url).host]: { auth, identitytoken: 'identity-secret' } } }),
  );
  const credentials = [{ kind: 'dockerConfig' as const, file }];
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { ...at, credentials, private: ['*'] } },
  });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.same(
    tokens.asked.map(({ method }) => method),
    ['POST'],
  );
  const { form } = tokens.asked[0] ?? {};
  t.equal(form?.get('grant_type'), 'refresh_token');
  t.equal(form?.get('refresh_token'), 'identity-secret');
  t.notMatch(mirror.logs.join(''), /identity-secret/);
});

t.test('a token server that only speaks OAuth2 is asked by POST', async (t) => {
  const login = { username: 'someone', password: 'a-password' };
  const { tokens, at } = await start(t, { login });
  tokens.speaksGet = false;
  const credentials = [{ kind: 'password' as const, ...login }];
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { ...at, credentials, private: ['*'] } },
  });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.same(
    tokens.asked.map(({ method }) => method),
    ['GET', 'POST'],
  );
});

t.test('a token server in trouble: asked again, then trouble, never absence', async (t) => {
  const { tokens, at } = await start(t);
  tokens.act(times(1, failing(503)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 200, 'once is waited out');
  tokens.revokeAll();
  tokens.act(failing(503));
  const stale = await mirror.manifest(latest);
  t.equal(stale.headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
  t.equal((await mirror.get(`/v2/team/app/blobs/${image.config.digest}`)).status, 502);
});
