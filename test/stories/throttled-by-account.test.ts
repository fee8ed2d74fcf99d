import t, { type Test } from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { type Meter, metered, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const images = Array.from({ length: 6 }, (_, n) => imageOf(`image ${n}`, [100]));
const logins = ['anna', 'bert'].map((username) => ({ username, password: `secret-of-${username}` }));
const tagged = (n: number): string => `/v2/team/app/manifests/t${n}`;

/** An upstream that counts the pulls of two accounts, and a mirror that has both. */
async function start(t: Test, meter: Omit<Meter, 'pulled'>, settings: { tagTtlMs?: number } = {}) {
  const registry = await startRegistry(t);
  for (const [n, image] of images.entries()) registry.push('team/app', image, `t${n}`);
  const tokens = await startTokenServer(t, { logins });
  const metering: Meter = { ...meter, pulled: [] };
  registry.act(tokened(tokens), metered(tokens, metering));
  const credentials = logins.map((login) => ({ kind: 'password' as const, ...login }));
  const upstream = { at: registry, realms: [tokens.host], credentials, ...settings };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': upstream } });
  return { registry, tokens, meter: metering, mirror };
}

t.test('the other account takes over before the first has nothing left', async (t) => {
  const said = { limit: 4, windowS: 3600 };
  const { tokens, meter, mirror } = await start(t, { left: { anna: 4, bert: 4 }, said });
  for (const n of images.keys()) t.equal((await mirror.manifest(tagged(n))).status, 200);
  t.same(meter.pulled, ['anna 200', 'anna 200', 'anna 200', 'bert 200', 'bert 200', 'bert 200']);
  t.equal(tokens.issued.length, 2, 'one token for each');
  t.match(mirror.status().upstreams[0]?.accounts, [
    { account: 'anna', limit: 4, remaining: 1, windowS: 3600, source: 'id-of-anna', restingUntil: undefined },
    { account: 'bert', limit: 4, remaining: 1, windowS: 3600, source: 'id-of-bert' },
  ]);
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_remaining', 'account="bert"'), 1);
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_limit', 'account="anna"'), 4);
});

t.test('a limit that comes unannounced: the same question is asked with the other account', async (t) => {
  const { meter, mirror } = await start(t, { left: { anna: 1, bert: 3 }, retryAfterS: 600 });
  for (const n of [0, 1, 2]) t.equal((await mirror.manifest(tagged(n))).status, 200);
  t.same(
    meter.pulled,
    ['anna 200', 'anna 429', 'bert 200', 'bert 200'],
    'who met its limit is not asked again',
  );
  const rests = await mirror.metric('hubcap_upstream_resting_seconds', 'account="anna"', 'reason="pulls"');
  t.ok(rests > 590 && rests <= 600, `${rests}`);
});

t.test('with both exhausted: known content, an honest 429, and no request', async (t) => {
  const { registry, meter, mirror } = await start(
    t,
    { left: { anna: 1, bert: 0 }, retryAfterS: 600 },
    { tagTtlMs: 0 },
  );
  t.equal((await mirror.manifest(tagged(0))).status, 200);
  const refused = await mirror.manifest(tagged(1));
  t.equal(refused.status, 429);
  t.match(ociErrorOf(refused), { code: 'TOOMANYREQUESTS', message: /no more pulls/ });
  t.equal(refused.headers['retry-after'], '600');
  t.same(meter.pulled, ['anna 200', 'anna 429', 'bert 429']);
  const { length } = registry.asked;
  const unknown = await Promise.all(
    Array.from({ length: 40 }, (_, n) => mirror.manifest(tagged(1 + (n % 5)))),
  );
  for (const { status, headers } of unknown) {
    t.equal(status, 429);
    t.ok(Number(headers['retry-after']) > 590 && Number(headers['retry-after']) <= 600);
  }
  t.equal(registry.asked.length, length, 'answered from memory');
  const known = await mirror.manifest(tagged(0));
  t.equal(known.headers['cache-status'], 'hubcap; hit; detail=revalidated', 'HEAD costs nothing');
  registry.push('team/app', imageOf('moved', [100]), 't0');
  const moved = await mirror.manifest(tagged(0));
  t.match([moved.status, moved.headers['cache-status']], [200, 'hubcap; fwd=stale; fwd-status=429']);
  t.same(meter.pulled.length, 3);
});

t.test('a limit that lifts is noticed by whatever answer says so', async (t) => {
  const said = { limit: 4, windowS: 21600 };
  const { meter, mirror } = await start(t, { left: { anna: 1, bert: 0 }, said }, { tagTtlMs: 0 });
  t.equal((await mirror.manifest(tagged(0))).status, 200);
  t.equal((await mirror.manifest(tagged(1))).status, 429);
  t.equal(
    (await mirror.manifest(tagged(1))).headers['retry-after'],
    '21600',
    'its window, where it says no time',
  );
  meter.left.bert = 3;
  t.equal((await mirror.manifest(tagged(0))).status, 200, 'confirmed by HEAD');
  t.equal((await mirror.manifest(tagged(1))).status, 200);
  t.same(meter.pulled, ['anna 200', 'bert 429', 'anna 429', 'bert 200']);
});

t.test('no secret of an account is told to anybody but its token server', async (t) => {
  const { registry, mirror } = await start(t, { left: { anna: 1, bert: 1 }, retryAfterS: 600 });
  const told = [];
  for (const n of images.keys()) told.push((await mirror.manifest(tagged(n))).body.toString());
  told.push((await mirror.get('/metrics')).body.toString(), JSON.stringify(mirror.status()), ...mirror.logs);
  const secrets = logins.flatMap(({ username, password }) => [
    password,
    Buffer.from(`${username}:${password}`).toString('base64'),
  ]);
  for (const secret of [...secrets, 'secret-token'])
    t.notOk(
      told.some((text) => text.includes(secret)),
      'neither by answer, log, metric nor status',
    );
  for (const secret of secrets)
    t.notOk(
      registry.asked.some(({ headers }) => JSON.stringify(headers).includes(secret)),
      'nor to the registry',
    );
});
