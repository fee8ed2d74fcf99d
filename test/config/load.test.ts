import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Config, UpstreamConfig } from '../../src/config/schema.ts';
import { loadFrom, type Written } from './load-from.ts';

const GIB = 1024 ** 3;

t.test('defaults', async (t) => {
  const home = t.testdir();
  const config = loadFrom(home);
  t.same([...config.upstreams.keys()], ['docker.io']);
  t.match(config, {
    listen: { host: '127.0.0.1', port: 5000 },
    admin: { host: '127.0.0.1', port: 5001 },
    control: undefined,
    storage: {
      directory: join(home, '.cache/hubcap'),
      maxBytes: { share: 0.5 },
      minFreeBytes: GIB,
      scrubBytesPerS: 0,
    },
    defaultUpstream: 'docker.io',
    prewarm: [],
    offline: false,
    http: {
      headerTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      keepAliveMs: 65_000,
      maxConnections: 4096,
      drainMs: 30_000,
    },
    log: { level: 'info', format: 'json' },
    proxy: {},
  });
  const hub = config.upstreams.get('docker.io');
  t.equal(hub?.url.href, 'https://registry-1.docker.io/');
  t.match(hub, {
    realms: ['auth.docker.io'],
    aliases: ['registry-1.docker.io', 'index.docker.io'],
    credentials: [],
    tagTtlMs: 60_000,
    notFoundTtlMs: 10_000,
    connections: 32,
    timeouts: { connectMs: 5_000, headersMs: 15_000, idleMs: 30_000, confirmMs: 4_000 },
    retries: 3,
  });
  t.equal(loadFrom(home, { isTty: true }).log.format, 'text');
});

t.test('flags go before environment before file', async (t) => {
  const cases: [string, Written & { yaml: string }, (config: Config) => unknown, unknown[]][] = [
    [
      'listen',
      { flags: { listen: ':1' }, env: { HUBCAP_LISTEN: ':2' }, yaml: 'listen: ":3"' },
      ({ listen }) => listen.port,
      [1, 2, 3],
    ],
    [
      'admin',
      { flags: { admin: ':1' }, env: { HUBCAP_ADMIN: ':2' }, yaml: 'admin: ":3"' },
      ({ admin }) => admin.port,
      [1, 2, 3],
    ],
    [
      'control',
      { flags: { control: '/1' }, env: { HUBCAP_CONTROL: '/2' }, yaml: 'control: /3' },
      ({ control }) => control,
      ['/1', '/2', '/3'],
    ],
    [
      'directory',
      { flags: { data: '/1' }, env: { HUBCAP_DATA: '/2' }, yaml: 'storage: { directory: /3 }' },
      ({ storage }) => storage.directory,
      ['/1', '/2', '/3'],
    ],
    [
      'budget',
      { flags: { maxSize: '1GiB' }, env: { HUBCAP_MAX_SIZE: '2GiB' }, yaml: 'storage: { maxSize: 12.5% }' },
      ({ storage }) => storage.maxBytes,
      [GIB, 2 * GIB, { share: 0.125 }],
    ],
    [
      'upstream',
      {
        flags: { upstream: 'http://one:1' },
        env: { HUBCAP_UPSTREAM: 'http://two:2' },
        yaml: 'upstreams: { docker.io: { url: "http://three:3/path" } }',
      },
      ({ upstreams }) => upstreams.get('docker.io')?.url.href,
      ['http://one:1/', 'http://two:2/', 'http://three:3/path'],
    ],
    [
      'offline',
      { flags: { offline: false }, env: { HUBCAP_OFFLINE: '1' }, yaml: 'offline: false' },
      ({ offline }) => offline,
      [false, true, false],
    ],
    [
      'log level',
      { flags: { logLevel: 'trace' }, env: { HUBCAP_LOG_LEVEL: 'debug' }, yaml: 'log: { level: warn }' },
      ({ log }) => log.level,
      ['trace', 'debug', 'warn'],
    ],
    [
      'log format',
      { flags: { logFormat: 'text' }, env: { HUBCAP_LOG_FORMAT: 'auto' }, yaml: 'log: { format: text }' },
      ({ log }) => log.format,
      ['text', 'json', 'text'],
    ],
  ];
  for (const [name, { flags, env, yaml }, pick, [flag, variable, file]] of cases) {
    const home = t.testdir();
    t.same(pick(loadFrom(home, { flags: flags ?? {}, env: env ?? {}, yaml })), flag, `${name}: flag`);
    t.same(pick(loadFrom(home, { env: env ?? {}, yaml })), variable, `${name}: environment`);
    t.same(pick(loadFrom(home, { yaml })), file, `${name}: file`);
    const empty = Object.fromEntries(Object.keys(env ?? {}).map((key) => [key, '']));
    t.same(pick(loadFrom(home, { env: empty, yaml })), file, `${name}: an empty variable is unset`);
  }
});

t.test('the environment sets the default upstream beside what the file says of it', async (t) => {
  const home = t.testdir({ secret: 'from a file\n' });
  const yaml = 'upstreams: { docker.io: { retries: 7, tagTtl: 9m }, ghcr.io: { tagTtl: 9m } }';
  const env = {
    HUBCAP_USERNAME: 'someone',
    HUBCAP_PASSWORD_FILE: 'secret',
    HUBCAP_TAG_TTL: '5m',
    HUBCAP_MIN_FREE: '2GiB',
  };
  const config = loadFrom(home, { yaml, env });
  t.match(config.upstreams.get('docker.io'), {
    retries: 7,
    tagTtlMs: 300_000,
    credentials: [{ kind: 'password', username: 'someone', password: 'from a file' }],
  });
  t.equal(config.upstreams.get('ghcr.io')?.tagTtlMs, 540_000);
  t.equal(config.storage.minFreeBytes, 2 * GIB);
});

t.test('presets and names of upstreams', async (t) => {
  const home = t.testdir();
  const yaml = `
upstreams:
  GHCR.io:
  registry.gitlab.com: {}
  quay.io: { realms: [], virtualHosts: [Quay.Mirror.Example] }
  localhost:5000: { url: http://localhost:5000 }`;
  const { upstreams } = loadFrom(home, { yaml });
  t.same([...upstreams.keys()], ['docker.io', 'ghcr.io', 'registry.gitlab.com', 'quay.io', 'localhost:5000']);
  const show = ({ url, realms, virtualHosts }: UpstreamConfig) => [url.href, realms, virtualHosts];
  t.same([...upstreams.values()].slice(1).map(show), [
    ['https://ghcr.io/', [], []],
    ['https://registry.gitlab.com/', ['gitlab.com'], []],
    ['https://quay.io/', [], ['quay.mirror.example']],
    ['http://localhost:5000/', [], []],
  ]);
  t.notSame(loadFrom(home).upstreams, upstreams, 'nothing is kept from one loading to the next');
});

t.test('credentials', async (t) => {
  const home = t.testdir({ secret: 'with space \r\n', conf: {} });
  const load = (entry: string, env: NodeJS.ProcessEnv = {}) =>
    loadFrom(home, { yaml: `upstreams: { quay.io: { credentials: [${entry}] } }`, env }).upstreams.get(
      'quay.io',
    )?.credentials[0];
  const password = { kind: 'password', username: 'u', password: 'with space ' };
  t.same(load('{ username: u, passwordFile: secret }'), password, 'counts from the file that names it');
  t.same(load('{ username: u, passwordFile: ~/secret }'), password);
  t.same(load('{ username: u, password: "with space " }'), password);
  const dockerConfig = (file: string) => ({ kind: 'dockerConfig', file });
  t.same(load('{ dockerConfig: true }'), dockerConfig(join(home, '.docker/config.json')));
  t.same(
    load('{ dockerConfig: true }', { DOCKER_CONFIG: '/etc/docker-login' }),
    dockerConfig('/etc/docker-login/config.json'),
  );
  t.same(load('{ dockerConfig: auth.json }'), dockerConfig(join(home, 'auth.json')));
});

t.test('proxies come from the environment or the file', async (t) => {
  const home = t.testdir();
  const yaml = 'proxy: { http: "http://file:1", no: [localhost, .internal] }';
  t.same(loadFrom(home, { yaml }).proxy, { http: 'http://file:1/', no: 'localhost,.internal' });
  const env = {
    http_proxy: 'lower:1',
    HTTP_PROXY: 'http://upper:1',
    HTTPS_PROXY: 'https://u:p@upper:2',
    NO_PROXY: '',
  };
  t.same(loadFrom(home, { yaml, env }).proxy, {
    http: 'http://lower:1/',
    https: 'https://u:p@upper:2/',
    no: 'localhost,.internal',
  });
});

t.test('a file is looked for in the working directory, then in the configuration directory', async (t) => {
  const home = t.testdir({ work: {}, xdg: { hubcap: { 'hubcap.yaml': 'listen: :3' } }, other: 'listen: :9' });
  const cwd = join(home, 'work');
  const port = (written: Written) => loadFrom(home, { cwd, ...written }).listen.port;
  t.equal(port({}), 5000, 'none is fine');
  t.equal(port({ env: { XDG_CONFIG_HOME: join(home, 'xdg') } }), 3);
  mkdirSync(join(home, '.config/hubcap'), { recursive: true });
  writeFileSync(join(home, '.config/hubcap/hubcap.yaml'), 'listen: :2');
  t.equal(port({}), 2);
  writeFileSync(join(cwd, 'hubcap.yaml'), 'listen: :1\nstorage: { directory: data }');
  t.equal(port({}), 1);
  t.equal(loadFrom(home, { cwd }).storage.directory, join(cwd, 'data'));
  t.equal(port({ env: { HUBCAP_CONFIG: '../other' } }), 9);
  t.equal(port({ env: { HUBCAP_CONFIG: '../other' }, flags: { config: 'hubcap.yaml' } }), 1);
});

t.test('a file may be empty or hold only comments', async (t) => {
  const home = t.testdir();
  for (const yaml of ['', '# nothing\n', '---\n', 'storage:\nupstreams:\nlog:\n  level:\n']) {
    t.same(loadFrom(home, { yaml }), loadFrom(home), JSON.stringify(yaml));
  }
});
