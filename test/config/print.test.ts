import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { printConfig } from '../../src/config/print.ts';
import { hasOpenssl, makeCertificates } from '../helpers/certificates.ts';
import { loadFrom } from './load-from.ts';

const example = readFileSync(join(import.meta.dirname, '../../hubcap.example.yaml'), 'utf8');

const yaml = `
listen: "[::1]:5000"
admin: :5001
control: /run/hubcap.sock
storage: { directory: /data, maxSize: 29%, minFree: 123456789 }
offline: true
prewarm:
  - { list: images.txt, every: 1h30m, platforms: [linux/amd64, arm64], pin: true, referrers: true }
  - { list: /etc/other.yaml, platforms: all }
http: { drain: 0s, idleTimeout: 1h30m, maxConnections: 7 }
log: { level: debug, format: text }
proxy: { http: "proxy:3128", no: "a,b" }
upstreams:
  docker.io: { tagTtl: 1.5s, virtualHosts: [hub.example], credentials: [{ dockerConfig: true }] }
  ghcr.io: { timeouts: { confirm: 250ms }, aliases: [github.example:5000], realms: [auth.example], retries: 0 }
  quay.io:
    mirrors:
      - https://near.example/quay
      - { url: https://nearer.example, realms: [auth.example], credentials: [{ anonymous: true }], tls: { insecure: true } }
    freshness: { "owner/*:v1": 2h, "*:latest": 10s, "*": 1d }
    staleWhileRevalidate: 1h
    refreshAhead: true
    keepDeleted: yes
    private: [owner/*, other/app]
    publicTtl: 0s
    grantTtl: 30d
    reserve: 12.5%
    timeouts: { probe: 500ms }
`;

t.test('what is printed loads as the same configuration', async (t) => {
  const home = t.testdir();
  for (const written of [{}, { yaml }, { yaml: example }, { yaml, flags: { maxSize: '10GB' } }]) {
    const config = loadFrom(home, written);
    t.same(loadFrom(home, { yaml: printConfig(config) }), config);
  }
});

t.test('secrets are hidden, and nothing else', async (t) => {
  const home = t.testdir({ secret: 'hunter2' });
  const secrets = `
upstreams:
  quay.io: { credentials: [{ username: someone, password: hunter2 }, { username: other, passwordFile: secret }] }
proxy: { http: "http://me:hunter2@proxy:3128", https: "http://hunter2@proxy:3128" }`;
  const config = loadFrom(home, {
    yaml: secrets,
    env: { HUBCAP_USERNAME: 'hub', HUBCAP_PASSWORD: 'hunter2' },
  });
  const printed = printConfig(config);
  t.notMatch(printed, /hunter2/);
  for (const shown of ['someone', 'other', 'hub', 'http://***:***@proxy:3128/', 'http://***@proxy:3128/']) {
    t.match(printed, shown);
  }
  t.match(loadFrom(home, { yaml: printed }).upstreams.get('quay.io'), {
    credentials: [
      { username: 'someone', password: '***' },
      { username: 'other', password: '***' },
    ],
  });
});

t.test('the example says the defaults', async (t) => {
  const home = t.testdir();
  t.same(loadFrom(home, { yaml: example }), loadFrom(home));
});

t.test('certificates and keys are shown by their files', { skip: !hasOpenssl }, async (t) => {
  const home = t.testdir();
  const { ca, client } = makeCertificates(home);
  const yaml = `upstreams: { ghcr.io: { tls: { ca: ${ca.certFile}, cert: ${client.certFile}, key: ${client.keyFile} } } }`;
  const config = loadFrom(home, { yaml });
  const printed = printConfig(config);
  t.notMatch(printed, /BEGIN/);
  t.same(loadFrom(home, { yaml: printed }), config);
});

t.test(
  'the example has every key, and those that it comments out can be used',
  { skip: !hasOpenssl },
  async (t) => {
    const home = t.testdir({ secret: 'x' });
    const { ca, client } = makeCertificates(home);
    const uncommented = example
      .replace(/^( *)#(?=[^ \n])/gm, '$1')
      .replace('/run/secrets/hub', 'secret')
      .replace('#passwordFile', 'passwordFile')
      .replace('/etc/hubcap/ca.pem', ca.certFile)
      .replace('/etc/hubcap/client.pem', client.certFile)
      .replace('/etc/hubcap/client.key', client.keyFile);
    const config = loadFrom(home, { yaml: uncommented });
    t.same([...config.upstreams.keys()], ['docker.io', 'ghcr.io', 'quay.io']);
    t.equal(config.upstreams.get('docker.io')?.credentials.length, 3);
    t.equal(config.storage.directory, '/var/lib/hubcap');
    const keysOf = (text: string) =>
      new Set([...text.matchAll(/^ *(?:- )?([a-zA-Z]+):/gm)].map(([, key]) => key));
    const documented = keysOf(uncommented);
    const printed = [...keysOf(printConfig(loadFrom(home, { yaml })))];
    t.same(
      printed.filter((key) => !documented.has(key)),
      [],
    );
  },
);
