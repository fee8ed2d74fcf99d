import t from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import { type UpstreamEntry, UpstreamTable } from '../../src/mirror/mirrored-upstream.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { Upstream } from '../../src/upstream/upstream.ts';

const observer = {
  answered: () => undefined,
  received: () => undefined,
  token: () => undefined,
  resumed: () => undefined,
  failed: () => undefined,
  endpoint: () => undefined,
  rejected: () => undefined,
};

function entry(host: string, aliases: string[] = [], virtualHosts: string[] = []): UpstreamEntry {
  const url = new URL(`https://${host}`);
  const settings = { ...upstreamDefaults, host, url, proxy: {}, offline: new OfflineSwitch(false) };
  const client = new Upstream({ ...settings, observer, now: () => 0 });
  t.teardown(() => client.close());
  return {
    ...upstreamDefaults,
    host,
    client,
    aliases,
    virtualHosts,
    tagTtlMs: 0,
    notFoundTtlMs: 0,
    confirmMs: 1,
  };
}

const hub = entry('docker.io', ['registry-1.docker.io', 'index.docker.io']);
const ghcr = entry('ghcr.io', [], ['ghcr.mirror.lan', 'ghcr.other.lan']);
const table = new UpstreamTable([hub, ghcr], 'docker.io');

t.test('names', async (t) => {
  t.equal(table.default, hub);
  t.same(table.all(), [hub, ghcr]);
  const cases: [name: string, expected: UpstreamEntry | undefined][] = [
    ['docker.io', hub],
    ['DOCKER.io', hub],
    ['registry-1.docker.io', hub],
    ['ghcr.io', ghcr],
    ['ghcr.io:443', undefined],
    ['ghcr.mirror.lan', undefined],
    ['evil.example', undefined],
    ['', undefined],
    ['__proto__', undefined],
    ['constructor', undefined],
  ];
  for (const [name, expected] of cases) t.equal(table.named(name), expected, name);
});

t.test('virtual hosts', async (t) => {
  const cases: [host: string | undefined, expected: UpstreamEntry | undefined][] = [
    ['ghcr.mirror.lan', ghcr],
    ['ghcr.mirror.lan:5000', ghcr],
    ['GHCR.Other.lan', ghcr],
    ['ghcr.io', undefined],
    ['localhost:5000', undefined],
    ['[::1]:5000', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [host, expected] of cases) t.equal(table.atVirtualHost(host), expected, String(host));
});

t.test('a default that is not there is a mistake', async (t) => {
  t.throws(() => new UpstreamTable([ghcr], 'docker.io'), { message: /docker\.io is not configured/ });
});
