import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hasOpenssl, makeCertificates } from '../helpers/certificates.ts';
import { failFrom, loadFrom } from './load-from.ts';

const upstream = (settings: string, host = 'ghcr.io') => `upstreams: { ${host}: { ${settings} } }`;

t.test('what an upstream can be told', async (t) => {
  const settings = `
    mirrors: ["https://near.example", { url: "http://nearer:5000/hub", realms: [auth], credentials: [{ anonymous: true }] }],
    freshness: { "library/*:v1": 2h, "*:latest": 0s, "*": 1d, owner/app: 5m },
    staleWhileRevalidate: 1h, refreshAhead: yes, keepDeleted: true, private: [owner/*, "*"], publicTtl: 0s,
    grantTtl: 30d, reserve: 25%, timeouts: { probe: 10s }`;
  const config = loadFrom(t.testdir(), { yaml: upstream(settings) }).upstreams.get('ghcr.io');
  t.match(config, {
    mirrors: [
      { url: new URL('https://near.example'), realms: [], credentials: [], tls: { isInsecure: false } },
      { url: new URL('http://nearer:5000/hub'), realms: ['auth'], credentials: [{ kind: 'anonymous' }] },
    ],
    freshness: [
      { pattern: 'library/*:v1', ttlMs: 7_200_000 },
      { pattern: '*:latest', ttlMs: 0 },
      { pattern: '*', ttlMs: 86_400_000 },
      { pattern: 'owner/app', ttlMs: 300_000 },
    ],
    staleWhileRevalidateMs: 3_600_000,
    refreshAhead: true,
    keepDeleted: true,
    private: ['owner/*', '*'],
    publicTtlMs: 0,
    grantTtlMs: 30 * 86_400_000,
    reserve: { share: 0.25 },
    timeouts: { probeMs: 10_000, stallMs: 60_000 },
  });
});

t.test('a mirror gets nothing that was meant for the registry', async (t) => {
  const login = 'credentials: [{ username: u, password: p }]';
  const yaml = upstream(`${login}, mirrors: ["https://near.example"], tls: { insecure: true }`, 'docker.io');
  t.match(loadFrom(t.testdir(), { yaml }).upstreams.get('docker.io'), {
    realms: ['auth.docker.io'],
    tls: { isInsecure: true },
    mirrors: [{ realms: [], credentials: [], tls: { isInsecure: false } }],
  });
});

t.test('a reserve is a count or a share', async (t) => {
  const home = t.testdir();
  const reserveOf = (text: string) =>
    loadFrom(home, { yaml: upstream(`reserve: ${text}`) }).upstreams.get('ghcr.io')?.reserve;
  t.equal(reserveOf('0'), 0);
  t.equal(reserveOf('0%'), 0);
  t.equal(reserveOf('20'), 20);
  t.same(reserveOf('95%'), { share: 0.95 });
});

t.test('what is expected of them, and what was found', async (t) => {
  const cases: [settings: string, path: string, expected: RegExp, found?: unknown][] = [
    ['mirrors: https://a.b', 'mirrors', /a list/, 'https://a.b'],
    ['mirrors: [a.b]', 'mirrors[0].url', /begins with https/],
    ['mirrors: [{}]', 'mirrors[0].url', /begins with https/],
    ['mirrors: [{ url: "https://a.b", tagTtl: 1m }]', 'mirrors[0].tagTtl', /a known key/],
    ['mirrors: ["https://ghcr.io/"]', 'mirrors[0]', /another address/, 'https://ghcr.io/'],
    ['mirrors: ["https://a.b/x", "https://a.b/x/"]', 'mirrors[1]', /another address/, 'https://a.b/x/'],
    ['freshness: [1m]', 'freshness', /a mapping from pattern to duration/, 'a list'],
    ['freshness: { "*": 60 }', 'freshness.*', /with a unit/, 60],
    ['freshness: { "ghcr.io/Owner": 1m }', 'freshness.ghcr.io/Owner', /a pattern of/, 'ghcr.io/Owner'],
    ['freshness: { "a:b:c": 1m }', 'freshness.a:b:c', /a pattern of/, 'a:b:c'],
    ['freshness: { "a@sha256": 1m }', 'freshness.a@sha256', /a pattern of/, '***@sha256'],
    ['freshness: { "7": 1m }', 'freshness.7', /"7:\*"/, '7'],
    ['private: ["a:b"]', 'private[0]', /without tag/, 'a:b'],
    ['private: [/a]', 'private[0]', /without tag/, '/a'],
    ['reserve: 96%', 'reserve', /at most 95%/, '96%'],
    ['reserve: -1', 'reserve', /a number of pulls/, -1],
    ['timeouts: { probe: 61s }', 'timeouts.probe', /at most 1m/, '61s'],
    ['credentials: [{ anonymous: false }]', 'credentials[0].anonymous', /true/, '***'],
    ['credentials: [{ anonymous: true, username: u }]', 'credentials[0].username', /anonymous alone/, '***'],
    ['tls: { insecure: true }, url: "http://a.b"', 'url', /https:\/\/, as its tls/, 'http://a.b/'],
    ['mirrors: [{ url: "http://a.b", tls: { insecure: true } }]', 'mirrors[0].url', /as its tls/],
    ['tls: { ca: none }', 'tls.ca', /there is none at this path/, 'none'],
    ['credentials: [{ username: u, password: "" }]', 'credentials[0].password', /text that is not empty/],
  ];
  for (const [settings, path, expected, found] of cases) {
    const { problems } = failFrom(t.testdir(), { yaml: upstream(settings) });
    t.match(problems, [{ path: `upstreams.ghcr.io.${path}`, expected }], settings);
    t.equal(problems.length, 1, settings);
    if (found !== undefined) t.equal(problems[0]?.found, found, settings);
  }
});

t.test('a pattern that can match nothing on the Hub is told what was meant', async (t) => {
  const yaml = upstream(
    'freshness: { alpine: 1m, "nginx:latest": 1m, "al*": 1m }, private: [redis]',
    'docker.io',
  );
  const { problems } = failFrom(t.testdir(), { yaml });
  t.match(problems, [
    { path: 'upstreams.docker.io.freshness.alpine', expected: 'library/alpine' },
    { expected: 'library/nginx:latest' },
    { path: 'upstreams.docker.io.private[0]', expected: 'library/redis' },
  ]);
  t.equal(problems.length, 3);
  t.ok(loadFrom(t.testdir(), { yaml: upstream('private: [redis]') }), 'elsewhere such names are names');
});

t.test('a pattern with the host before the repository is told to leave it out', async (t) => {
  const yaml = upstream(
    'freshness: { "ghcr.io/owner/*:latest": 1m }, private: [ghcr.io/owner/app, owner/app]',
  );
  const { problems } = failFrom(t.testdir(), { yaml });
  t.match(problems, [
    { path: 'upstreams.ghcr.io.freshness.ghcr.io/owner/*:latest', expected: 'owner/*:latest' },
    { path: 'upstreams.ghcr.io.private[0]', expected: 'owner/app' },
  ]);
  t.equal(problems.length, 2);
});

t.test('certificates and keys', { skip: !hasOpenssl }, async (t) => {
  const home = t.testdir({ 'not.pem': 'hunter2' });
  const { ca, server, client } = makeCertificates(home);
  const chain = join(home, 'chain.pem');
  writeFileSync(chain, `${client.cert}${ca.cert}`);
  const locked = join(home, 'locked.key');
  execFileSync('openssl', ['pkcs8', '-topk8', '-in', client.keyFile, '-out', locked, '-passout', 'pass:x']);
  const yaml = upstream(`tls: { ca: ca.pem, cert: chain.pem, key: client.key }`);
  t.same(loadFrom(home, { yaml }).upstreams.get('ghcr.io')?.tls, {
    ca: ca.cert,
    cert: readFileSync(chain, 'utf8'),
    key: client.key,
    isInsecure: false,
    files: { ca: ca.certFile, cert: chain, key: client.keyFile },
  });
  const short = ['req', '-x509', '-newkey', 'rsa:512', '-nodes', '-subj', '/CN=short', '-days', '2'];
  execFileSync('openssl', [...short, '-keyout', join(home, 'short.key'), '-out', join(home, 'short.pem')], {
    stdio: 'pipe',
  });
  const cases: [settings: string, path: string, expected: RegExp][] = [
    ['cert: short.pem, key: short.key', 'cert', /not of a short key/],
    ['ca: not.pem', 'ca', /a PEM file with certificates/],
    ['ca: client.key', 'ca', /a PEM file with certificates/],
    ['cert: client.pem', 'key', /the private key of the certificate/],
    ['key: client.key', 'cert', /the certificate that the key belongs to/],
    ['cert: client.pem, key: not.pem', 'key', /a PEM file with the private key$/],
    ['cert: client.pem, key: locked.key', 'key', /without a passphrase/],
    ['cert: client.pem, key: server.key', 'key', /the private key of the first certificate/],
    ['cert: none, key: client.key', 'cert', /there is none at this path/],
    [`ca: ${JSON.stringify(server.cert)}`, 'ca', /the path of a PEM file/],
  ];
  for (const [settings, path, expected] of cases) {
    const { problems } = failFrom(home, { yaml: upstream(`tls: { ${settings} }`) });
    t.match(problems, [{ path: `upstreams.ghcr.io.tls.${path}`, expected }], settings);
    t.equal(problems.length, 1, settings);
  }
});

t.test('no content of a file or of a key is in an error', { skip: !hasOpenssl }, async (t) => {
  const home = t.testdir({ 'not.pem': 'hunter2' });
  const { client } = makeCertificates(home);
  const pasted = JSON.stringify(client.key);
  for (const tls of [`key: ${pasted}`, `cert: ${pasted}, key: ${pasted}`, 'ca: not.pem, key: not.pem']) {
    const error = failFrom(home, { yaml: upstream(`tls: { ${tls} }`) });
    const shown = JSON.stringify([error, error.message, error.stack, error.cause]);
    t.notMatch(shown, /hunter2|PRIVATE|BEGIN/);
    t.notMatch(shown, client.key.split('\n')[1] ?? 'no key');
  }
});
