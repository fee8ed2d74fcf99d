import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { failFrom, loadFrom } from './load-from.ts';

const yamlWithEveryFault = `
storge: {}
listen: 5000
admin: localhost
control: ${'/long'.repeat(30)}
storage: { maxSize: 50 gigs, minFree: -1, directory: 7, compress: true }
offline: maybe
http: { drain: 5, idleTimeout: 0s, headerTimeout: 2d, maxConnections: 0 }
log: { level: verbose, format: xml }
proxy: { http: "socks5://proxy" }
upstreams:
  nodots: { tagTtl: 60 }
  GHCR.io:
  ghcr.io: { url: ftp://ghcr.io, tagTTL: 1m }
  index.docker.io: {}
  quay.io: { virtualHosts: ["mirror.example:80"], realms: ["https://quay.io"], aliases: [quay] }
  docker.io:
    virtualHosts: hub.example
    timeouts: 5s
    retries: 2.5
    connections: 1025
    credentials:
      - { username: someone }
      - { username: someone, passwordFile: missing }
      - { password: text }
      - { dockerConfig: true, username: someone }
      - {}
`;

t.test('every problem is reported at once, by its path in the source that has it', async (t) => {
  const home = t.testdir();
  const error = failFrom(home, {
    yaml: yamlWithEveryFault,
    flags: { maxSize: '99%', admin: ':x', data: '' },
    env: {
      HUBCAP_MIN_FREE: 'much',
      HUBCAP_MAX_SIZ: '1GiB',
      HUBCAP_PASSWORD: 'x',
      HTTPS_PROXY: '://',
      HUBCAP_UPSTREAM: 'hub',
    },
  });
  const credentials = 'upstreams.docker.io.credentials';
  t.same(
    error.problems.map(({ path }) => path).toSorted(),
    [
      ...['--admin', '--data', '--max-size', 'HTTPS_PROXY', 'HUBCAP_MAX_SIZ', 'HUBCAP_MIN_FREE'],
      ...['HUBCAP_UPSTREAM', 'HUBCAP_USERNAME', 'admin', 'control', 'http.drain', 'http.headerTimeout'],
      ...[
        'http.idleTimeout',
        'http.maxConnections',
        'listen',
        'log.format',
        'log.level',
        'offline',
        'proxy.http',
      ],
      ...['storage.compress', 'storage.directory', 'storage.maxSize', 'storage.minFree', 'storge'],
      ...['upstreams.docker.io.connections', `${credentials}[0].password`, `${credentials}[1].passwordFile`],
      ...[`${credentials}[2].username`, `${credentials}[3].username`, `${credentials}[4].username`],
      ...['upstreams.docker.io.retries', 'upstreams.docker.io.timeouts', 'upstreams.docker.io.virtualHosts'],
      ...[
        'upstreams.ghcr.io',
        'upstreams.ghcr.io.tagTTL',
        'upstreams.ghcr.io.url',
        'upstreams.index.docker.io',
      ],
      ...['upstreams.nodots', 'upstreams.nodots.tagTtl', 'upstreams.quay.io.aliases[0]'],
      ...['upstreams.quay.io.realms[0]', 'upstreams.quay.io.virtualHosts[0]'],
    ].toSorted(),
  );
  for (const { path, expected } of error.problems)
    t.match(error.message, `\n  ${path}: expected ${expected}`);
  t.match(
    error.message,
    `${error.problems.length} problems in the configuration (${join(home, 'written.yaml')})`,
  );
});

t.test('what is expected, and what was found', async (t) => {
  const cases: [yaml: string, path: string, expected: RegExp, found: unknown][] = [
    ['storge: {}', 'storge', /did you mean storage\?/, undefined],
    ['storage: { maxsize: 1GiB }', 'storage.maxsize', /did you mean maxSize\?/, undefined],
    ['colour: red', 'colour', /one of listen, admin, .*, proxy$/, undefined],
    ['listen: 5000', 'listen', /HOST:PORT/, 5000],
    ['listen: {}', 'listen', /HOST:PORT/, 'a mapping'],
    ['storage: []', 'storage', /a mapping with directory, maxSize, minFree, scrub/, 'a list'],
    ['upstreams: []', 'upstreams', /a mapping from host to settings/, 'a list'],
    ['http: { drain: 5 }', 'http.drain', /with a unit: 5s\?/, 5],
    ['http: { drain: soon }', 'http.drain', /30s, 500ms or 1m30s/, 'soon'],
    ['http: { keepAlive: 0s }', 'http.keepAlive', /longer than 0s/, '0s'],
    ['upstreams: { a.b: { tagTtl: 999d } }', 'upstreams.a.b.tagTtl', /at most 365d/, '999d'],
    ['storage: { maxSize: 0 }', 'storage.maxSize', /50GiB, or a share such as 50%/, 0],
    ['storage: { maxSize: 96% }', 'storage.maxSize', /between 1% and 95%/, '96%'],
    ['storage: { maxSize: 0.5% }', 'storage.maxSize', /between 1% and 95%/, '0.5%'],
    ['upstreams: { ghcr: {} }', 'upstreams.ghcr', /a dot, a port, or localhost/, 'ghcr'],
    ['upstreams: { a.b: { url: "a.b" } }', 'upstreams.a.b.url', /begins with https/, 'a.b'],
    [
      'upstreams: { a.b: { url: "https://a.b/v2/" } }',
      'upstreams.a.b.url',
      /in front of \/v2/,
      'https://a.b/v2/',
    ],
    ['admin: 127.0.0.1:5000', 'admin', /another port than listen, which is 127.0.0.1:5000/, '127.0.0.1:5000'],
    [
      'upstreams: { registry-1.docker.io: {} }',
      'upstreams.registry-1.docker.io',
      /under docker.io/,
      undefined,
    ],
    [
      'upstreams: { a.b: { aliases: [c.d] }, b.c: { aliases: [C.D] } }',
      'upstreams.b.c.aliases',
      /that a\.b does not/,
      'c.d',
    ],
    [
      'upstreams: { a.b: { virtualHosts: [m] }, b.c: { virtualHosts: [M] } }',
      'upstreams.b.c.virtualHosts',
      /a\.b/,
      'm',
    ],
  ];
  for (const [yaml, path, expected, found] of cases) {
    const { problems } = failFrom(t.testdir(), { yaml });
    t.match(problems, [{ path, expected }], yaml);
    t.equal(problems[0]?.found, found, yaml);
  }
});

t.test('what a name conflicts with is told by the source that decided it', async (t) => {
  const home = t.testdir();
  const { problems } = failFrom(home, {
    env: { HUBCAP_LISTEN: ':7000' },
    flags: { admin: '127.0.0.1:7000' },
  });
  t.match(problems, [{ path: '--admin', expected: /HUBCAP_LISTEN, which is :7000/ }]);
  const faulty = failFrom(home, { yaml: 'listen: nonsense\nadmin: 127.0.0.1:5000' });
  t.match(
    faulty.problems,
    [{ path: 'listen' }],
    'the default in place of a faulty value conflicts with nothing',
  );
});

t.test('a syntax error says where, beside the problems of other sources', async (t) => {
  const home = t.testdir();
  const file = join(home, 'written.yaml');
  const cases: [yaml: string, expected: RegExp][] = [
    ['listen: [::1]:5000', /quote text .* \(line 1, column 14\)/],
    ['a: 1\na: 2', /each key once .* \(line 2, column 1\)/],
    ['log:\n\tlevel: info', /not tabs \(line 2, column 1\)/],
    ['a: {b', /closing .* \(line 1/],
    ['a: b: c', /one "key: value" to a line/],
    ['a: 1\n---\nb: 2', /one document/],
    ['- listen', /keys with values/],
    ['listen', /keys with values/],
    ['a: *missing', /an anchor/],
  ];
  for (const [yaml, expected] of cases) {
    const { problems } = failFrom(home, { yaml, env: { HUBCAP_OFFLINE: 'x', HUBCAP_ADMIN: ':5000' } });
    t.match(problems, [{ path: file, expected }, { path: 'HUBCAP_OFFLINE' }], yaml);
    t.equal(problems.length, 2);
  }
});

t.test('files that are named must be there', async (t) => {
  const home = t.testdir({ directory: {}, empty: '\n', 'large.yaml': '#'.repeat(2 ** 20 + 1) });
  const missing = failFrom(home, { flags: { config: 'none.yaml' } });
  t.match(missing.problems, [
    { path: '--config', found: join(home, 'none.yaml'), expected: /there is none/ },
  ]);
  t.match(failFrom(home, { env: { HUBCAP_CONFIG: 'directory' } }).problems, [
    { path: 'HUBCAP_CONFIG', expected: /a directory/ },
  ]);
  t.match(failFrom(home, { flags: { config: 'large.yaml' } }).problems, [{ expected: /more than 1MiB/ }]);
  const env = { HUBCAP_USERNAME: 'u', HUBCAP_PASSWORD_FILE: 'empty' };
  t.match(failFrom(home, { env }).problems, [
    { path: 'HUBCAP_PASSWORD_FILE', found: 'empty', expected: /this one is empty/ },
  ]);
});

t.test('unknown variables', async (t) => {
  const home = t.testdir();
  const { problems } = failFrom(home, { env: { HUBCAP_LISTN: ':1', HUBCAP_COLOUR: 'red' } });
  t.match(problems, [
    { path: 'HUBCAP_LISTN', expected: /did you mean HUBCAP_LISTEN\?/, found: undefined },
    { path: 'HUBCAP_COLOUR', expected: /one of HUBCAP_CONFIG, HUBCAP_LISTEN, / },
  ]);
  const kubernetes = {
    HUBCAP_SERVICE_HOST: '10.0.0.1',
    HUBCAP_SERVICE_PORT: '5000',
    HUBCAP_SERVICE_PORT_HTTP: '5000',
    HUBCAP_PORT: 'tcp://10.0.0.1:5000',
    HUBCAP_PORT_5000_TCP: 'tcp://10.0.0.1:5000',
    HUBCAP_PORT_5000_TCP_ADDR: '10.0.0.1',
    HUBCAP_ADMIN_SERVICE_HOST: '10.0.0.2',
    HUBCAP_ADMIN_PORT_5001_TCP_PROTO: 'tcp',
  };
  t.doesNotThrow(
    () => loadFrom(home, { env: { ...kubernetes, HUBCAP_EMPTY: '' } }),
    'what Kubernetes sets is no mistake',
  );
});

t.test(
  'the unreadable file is told from the missing one',
  { skip: process.getuid?.() === 0 && 'root reads everything' },
  async (t) => {
    const home = t.testdir();
    writeFileSync(join(home, 'closed.yaml'), '', { mode: 0 });
    t.match(failFrom(home, { flags: { config: 'closed.yaml' } }).problems, [{ expected: /may not read it/ }]);
  },
);
