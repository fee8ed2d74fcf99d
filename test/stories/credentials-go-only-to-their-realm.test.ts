import t from 'tap';
import { startCdn } from '../helpers/cdn.ts';
import { fetch } from '../helpers/client.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing, only, redirecting, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { until } from '../helpers/waiting.ts';

const image = imageOf('private', [2 * MIB]);
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
const latest = '/v2/team/app/manifests/latest';
const login = { username: 'robot', password: 'correct-horse-battery' };
const credentials = [{ kind: 'password' as const, ...login }];
const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64');

async function start(t: Parameters<typeof startRegistry>[0]) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const tokens = await startTokenServer(t, { login });
  return { registry, tokens };
}

t.test(
  'the password goes to the realm, the token to the registry, neither to the CDN or a client',
  async (t) => {
    const { registry, tokens } = await start(t);
    const cdn = await startCdn(t, () => registry);
    registry.act(tokened(tokens), redirecting(cdn));
    const mirror = await startMirror(t, {
      upstreams: {
        'registry.test': { at: registry, realms: [tokens.host], credentials, private: ['*'], tagTtlMs: 0 },
      },
    });
    const answers = [
      await mirror.manifest(latest),
      await mirror.get(layer),
      await mirror.head(`/v2/team/app/blobs/${image.config.digest}`),
    ];
    t.same(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    t.same(tokens.shown, [`Basic ${basic}`]);
    t.ok(cdn.asked.length > 0, 'the CDN was asked; it fails the test when it sees Authorization');
    t.notMatch(registry.asked.map(({ headers }) => headers.authorization ?? '').join(), basic);

    tokens.revokeAll();
    tokens.act(failing(500));
    answers.push(await mirror.manifest(latest), await mirror.get(`/v2/team/other/manifests/latest`));
    registry.act(tokened(tokens, 'http://evil.invalid/token'));
    answers.push(await mirror.get('/v2/team/third/manifests/latest'));
    registry.act(only(({ path }) => path.includes('fourth'), failing(403)));
    answers.push(await mirror.get('/v2/team/fourth/manifests/latest'));
    answers.push(await fetch(`${mirror.admin}/metrics`), await fetch(`${mirror.admin}/api/status`));
    await until('all requests are logged', () => mirror.logs.length >= 7);
    const seen = [
      ...mirror.logs,
      JSON.stringify(mirror.status()),
      ...answers.map(({ headers, body }) => JSON.stringify(headers) + body.toString('latin1')),
    ].join('\n');
    for (const secret of [login.password, basic, ...tokens.issued, 'sig='])
      t.notOk(seen.includes(secret), 'no secret is seen in logs, metrics, status, answers');
  },
);

t.test('a realm that does not belong to the upstream gets nothing', async (t) => {
  const { registry, tokens } = await start(t);
  registry.act(tokened(tokens));
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, credentials, private: ['*'] } },
  });
  const refused = await mirror.manifest(latest);
  t.equal(refused.status, 502);
  t.match(refused.body.toString(), /realms/, 'the error names the key that allows it');
  t.match(refused.body.toString(), tokens.host, 'and the realm');
  t.equal(tokens.asked.length, 0);
});

t.test('what clients send along goes nowhere', async (t) => {
  const { registry, tokens } = await start(t);
  registry.act(tokened(tokens));
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, realms: [tokens.host], credentials, private: ['*'] } },
  });
  const headers = { authorization: 'Basic Y2xpZW50OnNlY3JldA==', cookie: 'session=client-secret' };
  t.equal((await mirror.get(latest, { headers })).status, 200);
  const sent = JSON.stringify([registry.asked, tokens.asked].map((list) => list.map((one) => one.headers)));
  t.notMatch(sent, /Y2xpZW50OnNlY3JldA|client-secret/);
  t.notMatch(mirror.logs.join(''), /Y2xpZW50OnNlY3JldA|client-secret/);
});

t.test('wrong credentials are a refusal, said without them', async (t) => {
  const { registry, tokens } = await start(t);
  registry.act(tokened(tokens));
  const wrong = [{ kind: 'password' as const, username: 'robot', password: 'wrong-secret' }];
  const mirror = await startMirror(t, {
    upstreams: {
      'registry.test': { at: registry, realms: [tokens.host], credentials: wrong, private: ['*'] },
    },
  });
  const refused = await mirror.manifest(latest);
  t.equal(refused.status, 403);
  t.match(JSON.parse(refused.body.toString()), { errors: [{ code: 'DENIED' }] });
  t.notMatch(refused.body.toString() + mirror.logs.join(''), /wrong-secret/);
});

t.test('foreign layers are never fetched from where a manifest says', async (t) => {
  const { registry, tokens } = await start(t);
  const foreign = await startRegistry(t);
  const body = Buffer.from(
    image.manifest.body.toString().replace('"size"', `"urls": ["${foreign.url}/layer"], "size"`),
  );
  const { digestOf } = await import('../../src/oci/digest.ts');
  const manifest = { ...image.manifest, body, digest: digestOf(body) };
  registry.push('team/app', { ...image, manifest }, 'foreign');
  registry.remove('team/app', image.config.digest);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  t.equal((await mirror.manifest('/v2/team/app/manifests/foreign')).status, 200);
  t.equal((await mirror.get(`/v2/team/app/blobs/${image.config.digest}`)).status, 404);
  t.equal(foreign.asked.length + tokens.asked.length, 0);
});
