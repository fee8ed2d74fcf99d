import fc from 'fast-check';
import t from 'tap';
import { inspectBuildkitd } from '../../../src/check/clients/buildkitd.ts';
import { inspectRegistriesYaml } from '../../../src/check/clients/k3s.ts';

t.test('registries.yaml: mistakes are named, endpoints are to be tried', async (t) => {
  const path = '/etc/rancher/k3s/registries.yaml';
  const inspect = (text: string) => inspectRegistriesYaml({ path, text });
  const good =
    'mirrors:\n  docker.io:\n    endpoint: ["http://127.0.0.1:5000"]\n  "*":\n    endpoint: ["https://m.example"]\nconfigs:\n  m.example:\n    tls: { insecure_skip_verify: true }\n';
  t.same(inspect(good).findings, []);
  t.match(inspect(good).mirrors, [
    { registry: 'docker.io', isUnproven: false },
    { registry: undefined, isUnproven: true },
  ]);
  t.same(inspect('').findings, []);
  t.same(inspect('mirrors:\n').findings, []);
  const cases: [text: string, id: string][] = [
    ['mirrors:\n  docker.io: [\n', 'k3s.yaml'],
    ['- a\n', 'k3s.yaml'],
    ['mirrors: [a]\n', 'k3s.mirrors'],
    ['mirrors:\n  docker.io: http://127.0.0.1:5000\n', 'k3s.mirrors'],
    ['mirrors:\n  docker.io:\n    endpoint: http://127.0.0.1:5000\n', 'k3s.endpoint'],
    ['mirrors:\n  docker.io:\n    endpoint: ["127.0.0.1:5000"]\n', 'k3s.endpoint'],
    ['mirrors:\n  docker.io:\n    endpoints: ["http://127.0.0.1:5000"]\n', 'k3s.key'],
    ['registries:\n  docker.io:\n', 'k3s.key'],
  ];
  for (const [text, id] of cases) t.match(inspect(text).findings, [{ id, status: 'failed' }], text);
});

t.test('buildkitd.toml: mistakes are named, mirrors are to be tried as BuildKit does', async (t) => {
  const path = '/etc/buildkit/buildkitd.toml';
  const inspect = (text: string) => inspectBuildkitd({ path, text });
  const urls = (text: string) => inspect(text).mirrors.map(({ url }) => url.href);
  const mirrors = (...list: string[]) => `[registry."docker.io"]\nmirrors = ${JSON.stringify(list)}\n`;
  t.same(urls(mirrors('127.0.0.1:5000')), ['http://127.0.0.1:5000/'], 'loopback is asked without TLS');
  t.same(urls(mirrors('m.example/hub')), ['https://m.example/hub']);
  t.same(urls(`${mirrors('m.example:5000')}[registry."m.example:5000"]\nhttp = true\n`), [
    'http://m.example:5000/',
  ]);
  t.match(inspect(mirrors('http://127.0.0.1:5000')).findings, [
    { id: 'buildkit.mirror', message: /has a scheme/ },
  ]);
  t.match(inspect('[registry."docker.io"]\nmirrors = "a:1"\n').findings, [{ id: 'buildkit.mirror' }]);
  t.match(inspect('registry = 1\n').findings, [{ id: 'buildkit.mirror' }]);
  t.match(inspect('[registries."docker.io"]\n').findings, [{ id: 'buildkit.mirror' }]);
  t.match(inspect('[registry.\n').findings, [{ id: 'buildkit.toml' }]);
});

t.test('whatever is in the files, nothing is thrown', async () => {
  const pieces = fc.constantFrom(
    'mirrors',
    ':',
    '\n',
    '  ',
    'docker.io',
    'endpoint',
    '[',
    ']',
    '{',
    '}',
    '- ',
    '&a ',
    '*a',
    '"',
    '"http://a:1"',
    '__proto__',
    'null',
    '!x ',
    '---',
    'registry',
    '=',
    '[registry."docker.io"]',
    '<<',
  );
  const built = fc.array(pieces, { maxLength: 16 }).map((parts) => parts.join(''));
  const any = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('utf8'));
  fc.assert(
    fc.property(fc.oneof(built, any), (text) => {
      const found = [inspectRegistriesYaml({ path: '/r', text }), inspectBuildkitd({ path: '/b', text })];
      return found.every(({ findings }) => findings.every(({ message }) => message !== ''));
    }),
    { numRuns: 2_000 },
  );
});
