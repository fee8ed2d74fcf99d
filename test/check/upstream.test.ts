import t, { type Test } from 'tap';
import type { Finding } from '../../src/check/check.ts';
import { checkPlace, type Place, usualImage } from '../../src/check/upstream.ts';
import { loadFrom } from '../config/load-from.ts';
import { makeCertificates } from '../helpers/certificates.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { startForwardProxy } from '../helpers/forward-proxy.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { startPersonaServer } from '../helpers/persona-server.ts';
import { askedTooOften, failing, htmlWith200, metered, only, silent, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeDated } from './dated-certificate.ts';

const DAY_MS = 86_400_000;
const SECRET = 'hunter2-very-secret';

/** Checks docker.io as the YAML has it, and holds that no secret is in what was found. */
async function check(
  t: Test,
  settings: object,
  { stepMs, proxy = {} }: { stepMs?: number; proxy?: object } = {},
) {
  const yaml = JSON.stringify({ upstreams: { 'docker.io': settings }, proxy });
  const config = loadFrom(await makeDirectory(t, 'check'), { yaml });
  const upstream = config.upstreams.get('docker.io');
  if (!upstream) throw new Error('no docker.io');
  const place: Place = {
    ...{ upstream, endpoint: upstream, isAuthority: true, proxy: config.proxy },
    ...{ image: usualImage('docker.io'), stepMs },
  };
  const { findings, clock } = await checkPlace(place, AbortSignal.timeout(20_000));
  t.notMatch(JSON.stringify(findings), new RegExp(SECRET), 'no secret is shown');
  return { findings, clock };
}

const idsOf = (findings: readonly Finding[]) => findings.map(({ id, status }) => `${id} ${status}`);
const alpine = () => imageOf('alpine', [1000]);

async function startHub(t: Test, options: Parameters<typeof startTokenServer>[1] = {}, ...inner: Persona[]) {
  const tokens = await startTokenServer(t, options);
  const registry = await startRegistry(t);
  registry.push('library/alpine', alpine(), 'latest');
  registry.act(tokened(tokens), ...inner);
  return { tokens, registry, settings: { url: registry.url, realms: [tokens.host] } };
}

t.test(
  'an upstream that is right: the way there, the challenge, a token, a manifest, the pulls left',
  async (t) => {
    const login = { username: 'someone', password: SECRET };
    const tokens = await startTokenServer(t, { login, isPublic: () => true });
    const meter = {
      left: { anonymous: 76, someone: 190 },
      said: { limit: 200, windowS: 21_600 },
      pulled: [],
    };
    const registry = await startRegistry(t);
    registry.push('library/alpine', alpine(), 'latest');
    registry.act(tokened(tokens), metered(tokens, meter));
    const { findings, clock } = await check(t, {
      url: registry.url,
      realms: [tokens.host],
      credentials: [login],
    });
    t.same(idsOf(findings), [
      'upstream.connection ok',
      'upstream.registry ok',
      'upstream.anonymous ok',
      'upstream.account ok',
    ]);
    t.match(findings[2], { message: /76 of 200 pulls in 6h left/, facts: { remaining: 76 } });
    t.match(findings[3], {
      message: /as someone: 190 of 200 pulls/,
      facts: { remaining: 190, account: 'someone' },
    });
    t.ok(Math.abs(clock?.offsetMs ?? Number.NaN) < 2_000, 'its clock was read');
    t.same(meter.pulled, [], 'no pull was spent');
  },
);

t.test('few pulls left are a warning', async (t) => {
  const tokens = await startTokenServer(t);
  const registry = await startRegistry(t);
  registry.push('library/alpine', alpine(), 'latest');
  const meter = { left: { anonymous: 3 }, said: { limit: 100, windowS: 21_600 }, pulled: [] };
  registry.act(tokened(tokens), metered(tokens, meter));
  const { findings } = await check(t, { url: registry.url, realms: [tokens.host] });
  t.match(findings.at(-1), {
    status: 'warning',
    message: /3 of 100 pulls in 6h left/,
    remedy: /add an account/,
  });
});

t.test('a name that nobody knows, and a port where nobody listens', async (t) => {
  const { findings } = await check(t, { url: 'https://no-such-registry.invalid' });
  t.match(findings, [{ id: 'upstream.dns', status: 'failed', facts: { upstream: 'docker.io' } }]);
  const server = await startPersonaServer(t, () => ({ status: 200 }));
  await server.close();
  const refused = await check(t, { url: server.url });
  t.match(refused.findings, [{ id: 'upstream.tcp', status: 'failed', message: /refuses connections/ }]);
});

t.test(
  'certificates: of an unknown authority, for another name, expired, not yet valid, soon to end',
  async (t) => {
    if (!needs(t, 'openssl')) return;
    const directory = t.testdir();
    const { ca, server, elsewhere } = makeCertificates(directory);
    const dated = (name: string, fromDays: number, untilDays: number) =>
      makeDated(directory, ca, name, {
        from: new Date(Date.now() + fromDays * DAY_MS),
        until: new Date(Date.now() + untilDays * DAY_MS),
      });
    const cases: [what: string, certificate: { cert: string; key: string }, tls: object, expected: object][] =
      [
        [
          'unknown authority',
          server,
          {},
          { id: 'upstream.tls', message: /authority that is not known/, remedy: /tls\.ca/ },
        ],
        ['itself', ca, {}, { id: 'upstream.tls', facts: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } }],
        [
          'another name',
          elsewhere,
          { ca: ca.certFile },
          { id: 'upstream.tls', message: /is for other names/ },
        ],
        [
          'expired',
          dated('expired', -20, -1),
          { ca: ca.certFile },
          { id: 'upstream.tls', message: /has expired/, remedy: /renewed|clock/ },
        ],
        [
          'not yet',
          dated('early', 1, 20),
          { ca: ca.certFile },
          { id: 'upstream.tls', message: /not valid yet/, remedy: /clock/ },
        ],
      ];
    for (const [what, { cert, key }, tls, expected] of cases) {
      const registry = await startRegistry(t, { cert, key });
      const { findings } = await check(t, { url: registry.url, tls });
      t.match(findings, [{ status: 'failed', ...expected }], what);
      t.equal(registry.asked.length, 0, 'nothing was sent to it');
    }
    const soon = await startRegistry(t, dated('soon', -1, 5.5));
    const ending = await check(t, { url: soon.url, tls: { ca: ca.certFile } });
    t.match(ending.findings[1], { id: 'upstream.certificate', status: 'warning', message: /in 5 days/ });
    const late = await startRegistry(t, dated('late', -1, 90));
    const lasting = await check(t, { url: late.url, tls: { ca: ca.certFile } });
    t.match(lasting.findings[1], { id: 'upstream.certificate', status: 'ok' });
    const believed = await check(t, { url: soon.url, tls: { insecure: true } });
    t.ok(
      idsOf(believed.findings).includes('upstream.insecure warning'),
      'whoever is believed unproven is named',
    );
  },
);

t.test('a wrong password is said, once for each account', async (t) => {
  const right = { username: 'someone', password: SECRET };
  const { tokens, settings } = await startHub(t, { login: right, isPublic: () => true });
  const wrong = { username: 'someone', password: `${SECRET}-wrong` };
  const { findings } = await check(t, { ...settings, credentials: [wrong, right] });
  t.same(idsOf(findings).slice(2), [
    'upstream.anonymous ok',
    'upstream.account failed',
    'upstream.account ok',
  ]);
  t.match(findings[3], { message: /refuses the configured credentials/, remedy: /password/ });
  const shown = tokens.shown.filter((header) =>
    header.includes(Buffer.from(`someone:${SECRET}-wrong`).toString('base64')),
  );
  t.equal(shown.length, 1, 'a wrong password that is tried often locks its account');
});

t.test('a login that cannot be read is named with its file', async (t) => {
  const { settings } = await startHub(t);
  const file = `${t.testdir({ 'config.json': '{"auths":' })}/config.json`;
  const { findings } = await check(t, { ...settings, credentials: [{ dockerConfig: file }] });
  t.match(findings.at(-1), { id: 'upstream.account', status: 'failed', message: /config\.json/ });
  const without = await check(t, { ...settings, credentials: [{ dockerConfig: `${file}.away` }] });
  t.match(without.findings.at(-1), { status: 'warning', message: /has no login for docker\.io/ });
});

t.test('a realm that is not known to belong to it', async (t) => {
  const { registry, tokens } = await startHub(t);
  const { findings } = await check(t, { url: registry.url, realms: [] });
  t.match(findings.at(-1), {
    id: 'upstream.realm',
    status: 'failed',
    message: new RegExp(tokens.host),
    remedy: /realms/,
  });
  t.equal(tokens.asked.length, 0, 'it was not asked');
});

t.test('what is no registry: a page for people, a server error, a limit, a 404', async (t) => {
  const server = await startPersonaServer(t, () => ({ status: 404 }));
  const cases: [persona: Persona, expected: object][] = [
    [htmlWith200(), { status: 'failed', message: /page for people/ }],
    [failing(503), { status: 'failed', message: /answers 503/ }],
    [askedTooOften(), { status: 'warning', message: /limits the rate/ }],
    [failing(404), { status: 'failed', message: /answers 404/, remedy: /url/ }],
  ];
  for (const [persona, expected] of cases) {
    server.act(persona);
    const { findings } = await check(t, { url: server.url });
    t.match(findings[1], { id: 'upstream.registry', ...expected });
  }
});

t.test('a limit that is met at the manifest is a warning with what to do', async (t) => {
  const { settings } = await startHub(
    t,
    {},
    only(({ path }) => path.includes('/manifests/'), askedTooOften({ 'retry-after': '90' })),
  );
  const { findings } = await check(t, settings);
  t.match(findings.at(-1), { id: 'upstream.anonymous', status: 'warning', message: /\(429\) for 1m30s/ });
});

t.test('who is silent is not waited for', async (t) => {
  const gate = Promise.withResolvers<void>();
  t.teardown(() => gate.resolve());
  const registry = await startRegistry(t);
  registry.act(silent(gate.promise));
  const { findings } = await check(t, { url: registry.url }, { stepMs: 200 });
  t.match(findings.at(-1), { id: 'upstream.answer', status: 'failed', message: /does not answer/ });
  const { tokens, settings } = await startHub(t);
  tokens.act(silent(gate.promise));
  const later = await check(t, settings, { stepMs: 200 });
  t.match(
    later.findings.at(-1),
    { id: 'upstream.anonymous', status: 'failed', facts: { reason: 'timeout' } },
    'nor a token server',
  );
});

t.test('by way of a proxy it is the proxy that is looked for, and its login is not shown', async (t) => {
  const { settings } = await startHub(t);
  const proxy = await startForwardProxy(t);
  const url = new URL(proxy.url);
  url.username = 'someone';
  url.password = SECRET;
  const { findings } = await check(t, settings, { proxy: { http: url.href } });
  t.match(findings[0], {
    id: 'upstream.connection',
    message: new RegExp(`by way of the proxy ${url.origin}`),
  });
  t.equal(findings.at(-1)?.status, 'ok');
  const away = await check(t, settings, { proxy: { http: 'http://127.0.0.1:9' } });
  t.match(away.findings, [{ id: 'upstream.tcp', message: /the proxy http:\/\/127\.0\.0\.1:9 refuses/ }]);
  const past = await check(t, settings, { proxy: { http: 'http://127.0.0.1:9', no: ['127.0.0.1'] } });
  t.notMatch(past.findings[0]?.message, /proxy/);
});
