import fc from 'fast-check';
import t from 'tap';
import { inspectContainerd } from '../../../src/check/clients/containerd.ts';
import { inspectHostDirectory, registryOf } from '../../../src/check/clients/hosts-toml.ts';
import { hostsTomlCases } from './hosts-toml-table.ts';

const path = '/etc/containerd/config.toml';
const V1 = '[plugins.cri.registry]\n';
const V2 = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n';
const V3 = 'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\n';
const PATH = 'config_path = "/etc/containerd/certs.d"\n';

function hosts(text: string, name = 'docker.io') {
  const directory = `/etc/containerd/certs.d/${name}`;
  return inspectHostDirectory({
    name,
    path: directory,
    hosts: { path: `${directory}/hosts.toml`, text },
    others: ['hosts.toml'],
  });
}

t.test('config_path is found where the version of the file has it', async (t) => {
  for (const text of [V1 + PATH, V2 + PATH, V3 + PATH]) {
    const { findings, directories } = inspectContainerd([{ path, text }], true);
    t.same([findings, directories], [[], ['/etc/containerd/certs.d']], text);
  }
  const { directories } = inspectContainerd([{ path, text: `${V2}config_path = "/a:/b"\n` }], true);
  t.same(directories, ['/a', '/b'], 'several');
});

t.test('without config_path hosts.toml is not read by containerd 1, and is by containerd 2', async (t) => {
  for (const text of ['', 'version = 2\n', V1, V2, `${V2}config_path = ""\n`])
    t.match(
      inspectContainerd([{ path, text }], true).findings,
      [{ id: 'containerd.config-path', status: 'failed' }],
      text,
    );
  t.match(
    inspectContainerd([], true).findings,
    [{ id: 'containerd.config-path', status: 'failed' }],
    'no file',
  );
  t.match(inspectContainerd([{ path, text: 'version = 3\n' }], true).findings, [
    { id: 'containerd.config-path', status: 'ok' },
  ]);
  t.same(
    inspectContainerd([{ path, text: 'version = 2\n' }], false).findings,
    [],
    'nothing is lost without hosts.toml',
  );
  t.same(
    inspectContainerd(
      [
        { path, text: 'imports = ["/etc/containerd/conf.d/*.toml"]\nversion = 2\n' },
        { path: '/x', text: V2 + PATH },
      ],
      true,
    ).findings,
    [],
    'in a file that is imported',
  );
});

t.test('other mistakes in config.toml are named', async (t) => {
  const mirrors = (head: string): string =>
    `${head}[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = ["http://127.0.0.1:5000"]\n`;
  const cases: [text: string, id: string, status: string][] = [
    [
      `version = 2\n${V1.replace('plugins.cri', 'plugins."io.containerd.cri.v1.images"')}${PATH}`,
      'containerd.plugin-id',
      'failed',
    ],
    [`version = 3\n${V2.replace('version = 2\n', '')}${PATH}`, 'containerd.plugin-id', 'failed'],
    [V2.replace('version = 2\n', '') + PATH, 'containerd.plugin-id', 'failed'],
    [mirrors(V2 + PATH), 'containerd.both', 'failed'],
    [mirrors('version = 2\n'), 'containerd.deprecated', 'warning'],
    ['version = 2\n[plugins\n', 'containerd.toml', 'failed'],
  ];
  for (const [text, id, status] of cases)
    t.match(inspectContainerd([{ path, text }], false).findings, [{ id, status }], text);
  const off = 'version = 2\ndisabled_plugins = ["cri"]\n';
  t.match(inspectContainerd([{ path, text: off }], true).findings, [
    { id: 'containerd.cri', status: 'skipped' },
  ]);
});

t.test('each mistake in hosts.toml is named', async (t) => {
  for (const { text, id } of hostsTomlCases) {
    const { findings } = hosts(text.replaceAll('MIRROR', '127.0.0.1:5000'));
    t.same(
      findings.map((finding) => finding.id),
      id === undefined ? [] : [id],
      text,
    );
  }
  t.match(hosts('server = "https://docker.io"\n').findings, [{ id: 'hosts.server' }]);
  t.match(hosts('[host."http://a:1"]\n', 'registry-1.docker.io').findings, [{ id: 'hosts.directory' }]);
  const misnamed = inspectHostDirectory({
    name: 'docker.io',
    path: '/c/docker.io',
    hosts: undefined,
    others: ['host.toml'],
  });
  t.match(misnamed.findings, [{ id: 'hosts.name', message: /hosts\.toml alone/ }]);
});

t.test('directories are for registries as containerd looks them up', async (t) => {
  t.equal(registryOf('docker.io'), 'docker.io');
  t.equal(registryOf('registry.example_5000_'), 'registry.example:5000');
  t.equal(registryOf('_default'), undefined);
});

t.test('whatever is in the files, there are findings, and nothing is thrown', async () => {
  const pieces = fc.constantFrom(
    '[host."http://a:1"]',
    '[host]',
    'host',
    'server',
    ' = ',
    '"x"',
    '\n',
    'capabilities',
    '["pull"]',
    '[[host]]',
    '.',
    '[',
    ']',
    '"',
    '__proto__',
    'version',
    '2',
    '[plugins."io.containerd.grpc.v1.cri".registry]',
    'config_path',
    'constructor',
    '0x1',
    '{a=1}',
    'mirrors',
    '[plugins.cri.registry.mirrors]',
    '"http://["',
  );
  const built = fc.array(pieces, { maxLength: 14 }).map((parts) => parts.join(''));
  const any = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('utf8'));
  const host = fc.string({ unit: 'binary' }).map((name) => `[host.${JSON.stringify(name)}]\n`);
  fc.assert(
    fc.property(fc.oneof(built, any, host), fc.boolean(), (text, hasHosts) => {
      const found = [...hosts(text).findings, ...inspectContainerd([{ path, text }], hasHosts).findings];
      return found.every(({ message }) => message !== '');
    }),
    { numRuns: 2_000 },
  );
});
