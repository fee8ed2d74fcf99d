/** Undo takes hubcap's part out, and nothing else, whatever happened to the file since. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser';
import { parse } from 'yaml';
import type { FileClient } from '../../src/clients/plan.ts';
import { MemoryFiles } from './memory-files.ts';

const url = new URL('http://127.0.0.1:5000');
const remote = new URL('http://10.0.0.5:5000');
const HUB = ['docker.io'];

interface Since {
  client: FileClient;
  path: string;
  before?: string;
  /** what its user did with what setup had written */
  edit: (text: string) => string;
  after: string | undefined;
  url?: URL;
}

const since: Record<string, Since> = {
  'daemon.json, a key and a mirror more': {
    client: 'docker',
    path: '/etc/docker/daemon.json',
    before: '{\n  "debug": true\n}\n',
    edit: (text) => text.replace('5000"]', '5000", "https://b"]').replace('true', 'false'),
    after: '{\n  "debug": false,\n  "registry-mirrors": ["https://b"]\n}\n',
  },
  'daemon.json that setup made, a key more': {
    client: 'docker',
    path: '/etc/docker/daemon.json',
    edit: (text) => text.replace('{', '{\n  "debug": true,'),
    after: '{\n  "debug": true\n}\n',
  },
  'daemon.json, what Docker starts with goes with the host': {
    client: 'docker',
    path: '/etc/docker/daemon.json',
    before: '{\n  "debug": true\n}\n',
    edit: (text) => text.replace('true', 'false'),
    after: '{\n  "debug": false\n}\n',
    url: remote,
  },
  'hosts.toml, another host': {
    client: 'containerd',
    path: '/etc/containerd/certs.d/docker.io/hosts.toml',
    edit: (text) => `${text}\n[host."https://b"]\n`,
    after: 'server = "https://registry-1.docker.io"\n\n[host."https://b"]\n',
  },
  'hosts.toml, a header for ours': {
    client: 'containerd',
    path: '/etc/containerd/certs.d/docker.io/hosts.toml',
    before: '# ours\n[host."https://b"]\n',
    edit: (text) => `${text}[host."http://127.0.0.1:5000".header]\n  x = "1"\n`,
    after: '# ours\n[host."https://b"]\n',
  },
  'config.toml, a key beside config_path': {
    client: 'containerd',
    path: '/etc/containerd/config.toml',
    before: 'version = 2\n',
    edit: (text) => `${text}  headers = {}\n`,
    after: 'version = 2\n\n[plugins."io.containerd.grpc.v1.cri".registry]\n  headers = {}\n',
  },
  'config.toml, a comment elsewhere, and an empty path before': {
    client: 'containerd',
    path: '/etc/containerd/config.toml',
    before: 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = ""\n',
    edit: (text) => `# since\n${text}`,
    after: '# since\nversion = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = ""\n',
  },
  'registries.conf, another mirror': {
    client: 'podman',
    path: '/etc/containers/registries.conf',
    before: '[[registry]]\nlocation = "docker.io"\n',
    edit: (text) => `${text}\n[[registry.mirror]]\nlocation = "b"\n`,
    after: '[[registry]]\nlocation = "docker.io"\n\n[[registry.mirror]]\nlocation = "b"\n',
  },
  'the drop-in, another registry': {
    client: 'podman',
    path: '/etc/containers/registries.conf.d/50-hubcap.conf',
    edit: (text) => `${text}\n[[registry]]\nlocation = "b.example"\n`,
    after: '[[registry]]\nlocation = "b.example"\n',
  },
  'buildkitd.toml, another mirror': {
    client: 'buildkit',
    path: '/etc/buildkit/buildkitd.toml',
    before: 'debug = true\n',
    edit: (text) => text.replace('5000"]', '5000", "b"]'),
    after: 'debug = true\n\n[registry."docker.io"]\n  mirrors = ["b"]\n',
  },
  'registries.yaml, another endpoint and a comment': {
    client: 'k3s',
    path: '/etc/rancher/k3s/registries.yaml',
    before: 'configs: {}\n',
    edit: (text) => `${text}      - "https://b" # far\n`,
    after: 'configs: {}\n\nmirrors:\n  "docker.io":\n    endpoint:\n      - "https://b" # far\n',
  },
  'registries.yaml, another registry': {
    client: 'k3s',
    path: '/etc/rancher/k3s/registries.yaml',
    before: '# ours\nconfigs: {}\n',
    edit: (text) => `${text}  # near\n  quay.io: {}\n`,
    after: '# ours\nconfigs: {}\n\nmirrors:\n  # near\n  quay.io: {}\n',
  },
};

for (const [what, { client, path, before, edit, after, url: to = url }] of Object.entries(since)) {
  t.test(`what was changed since stays: ${what}`, async (t) => {
    const files = new MemoryFiles(before === undefined ? {} : { [path]: before });
    files.write(client, to, HUB);
    const written = files.read(path) ?? '';
    const edited = edit(written);
    t.not(edited, written, 'the edit is one');
    files.texts.set(path, edited);
    files.undo(client, to);
    t.equal(files.read(path), after);
    if (before !== undefined) t.equal(files.read(`${path}.before-hubcap`), before, 'the copy is kept then');
    t.strictSame(files.undo(client, to), {}, 'twice is once');
  });
}

t.test('what was there before is not taken out', async (t) => {
  const path = '/etc/docker/daemon.json';
  const before = '{"insecure-registries": ["http://10.0.0.5:5000"]}';
  const files = new MemoryFiles({ [path]: before });
  files.write('docker', remote, HUB);
  files.texts.set(path, (files.read(path) ?? '').replace('{', '{"debug": true, '));
  files.undo('docker', remote);
  t.equal(files.read(path), '{"debug": true, "insecure-registries": ["http://10.0.0.5:5000"]}');
});

t.test('what was written in two steps is taken out in one', async (t) => {
  for (const client of ['docker', 'containerd', 'podman', 'buildkit', 'k3s'] as const) {
    const files = new MemoryFiles({});
    files.write(client, url, HUB);
    files.write(client, url, ['docker.io', 'ghcr.io']);
    files.undo(client, url);
    t.strictSame(files.all(), {}, client);
  }
});

t.test('another hubcap is left where it is', async (t) => {
  for (const client of ['docker', 'containerd', 'podman', 'buildkit', 'k3s'] as const) {
    const files = new MemoryFiles({});
    files.write(client, new URL('http://127.0.0.2:5000'), HUB);
    const there = files.all();
    files.write(client, url, HUB);
    files.undo(client, url);
    files.loseBackups();
    t.strictSame(meaning(files), meaning(new MemoryFiles(there)), client);
  }
});

function meaning(files: MemoryFiles): Record<string, unknown> {
  return Object.fromEntries(Object.entries(files.all()).map(([path, text]) => [path, read(path, text)]));
}

function read(path: string, text: string): unknown {
  if (path.endsWith('.json')) return text.trim() === '' ? {} : JSON.parse(text);
  if (path.endsWith('.yaml')) return parse(text) ?? {};
  return getStaticTOMLValue(parseTOML(text));
}

const host = fc.constantFrom('docker.io', 'ghcr.io', 'quay.io', 'registry.example:5000');
const mirror = fc.constantFrom('https://a.example', 'http://10.0.0.9:5000', 'http://127.0.0.1:9');
const eol = fc.constantFrom('\n', '\r\n');
const comment = fc.constantFrom('', ' # near', ' # ] } "');
const lines = fc.array(fc.constantFrom('', '# a comment', '  # another'), { maxLength: 2 });
const upstreams = fc.uniqueArray(host, { minLength: 1 });
const mirrors = fc.array(mirror, { maxLength: 3 });

/** How lists are written: on one line or several. */
const list = fc.tuple(mirrors, fc.boolean(), fc.boolean()).map(([items, isLong, isLoose]) => {
  const texts = items.map((item) => `"${item}"`);
  if (isLong && texts.length > 0) return `[\n    ${texts.join(',\n    ')}\n  ]`;
  return isLoose ? `[ ${texts.join(' , ')} ]` : `[${texts.join(',')}]`;
});

const daemonJson = fc
  .tuple(
    fc.dictionary(fc.constantFrom('debug', 'log-driver', 'x y'), fc.jsonValue(), { maxKeys: 3 }),
    fc.option(list),
    fc.option(list),
    fc.constantFrom(undefined, 1, 2, '\t'),
    fc.constantFrom('', '\n', '\n\n'),
  )
  .map(([other, first, second, indent, end]) => {
    const entries = Object.entries(other).map(
      ([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value, undefined, indent)}`,
    );
    const ours = [
      first === null ? [] : `"registry-mirrors": ${first}`,
      second === null ? [] : `"insecure-registries" :${second}`,
    ];
    const all = [...entries, ...ours.flat()];
    return indent === undefined ? `{${all.join(',')}}${end}` : `{\n  ${all.join(',\n  ')}\n}${end}`;
  });

const hostsToml = fc
  .tuple(fc.option(mirror), fc.uniqueArray(mirror), lines, comment)
  .map(([server, hosts, notes, note]) =>
    [
      ...notes,
      ...(server === null ? [] : [`server = "${server}"${note}`]),
      ...hosts.flatMap((one) => [...notes, `[host."${one}"]${note}`, '  capabilities = ["pull"]']),
      ...(hosts[0] === undefined ? [] : [`[host."${hosts[0]}".header]`, 'x = ["1"]']),
      '',
    ].join('\n'),
  );

const registriesConf = fc
  .tuple(lines, fc.uniqueArray(fc.tuple(host, mirrors, fc.boolean()), { selector: ([one]) => one }), comment)
  .map(([notes, registries, note]) =>
    [
      'unqualified-search-registries = ["docker.io"]',
      ...registries.flatMap(([prefix, some, isLoose]) => [
        ...notes,
        '[[registry]]',
        `prefix = "${prefix}"${note}`,
        `location = "${prefix}"`,
        ...some.flatMap((one) => [
          ...(isLoose ? ['', ...notes] : []),
          '  [[registry.mirror]]',
          `  location = "${one.replace(/.*\//, '')}"${note}`,
        ]),
        ...(isLoose ? [''] : []),
      ]),
      '',
    ].join('\n'),
  );

const buildkitdToml = fc
  .tuple(
    lines,
    fc.uniqueArray(fc.tuple(host, fc.option(list), fc.boolean()), { selector: ([one]) => one }),
    comment,
  )
  .map(([notes, registries, note]) =>
    [
      `debug = true${note}`,
      ...registries.flatMap(([name, some, isLoose]) => [
        ...notes,
        `[registry."${name}"]${note}`,
        ...(isLoose ? ['  insecure = false'] : []),
        ...(some === null ? [] : [`  mirrors = ${some}${note}`]),
      ]),
      '[worker.oci]',
      '  gc = true',
    ].join('\n'),
  );

const registriesYaml = fc
  .tuple(
    lines,
    fc.uniqueArray(fc.tuple(host, mirrors, fc.constantFrom('block', 'flow', 'none')), {
      selector: ([one]) => one,
    }),
    comment,
    fc.constantFrom('  ', '    '),
    fc.boolean(),
  )
  .map(([notes, hosts, note, indent, isLast]) => {
    const configs = ['configs:', `${indent}a:${note}`, `${indent}${indent}tls: {}`];
    const endpoints = (some: string[], how: string) => {
      if (how === 'none') return [`${indent}${indent}rewrite: {}`];
      if (how === 'flow' || some.length === 0)
        return [`${indent}${indent}endpoint: [${some.map((one) => `"${one}"`).join(', ')}]${note}`];
      return [
        `${indent}${indent}endpoint:${note}`,
        ...some.map((one) => `${indent}${indent}${indent}- ${one}${note}`),
      ];
    };
    const all = hosts.flatMap(([name, some, how]) => [
      ...notes,
      `${indent}"${name}":${note}`,
      ...endpoints(some, how),
    ]);
    const block = [`mirrors:${note}`, ...all];
    return [...notes, ...(isLast ? [...configs, ...block] : [...block, ...configs]), ''].join('\n');
  });

/** Without it setup would set it, and undo leave it for the hosts.toml that stays. */
const beside = {
  '/etc/containerd/config.toml':
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
};

const generated: [client: FileClient, path: string, text: fc.Arbitrary<string>][] = [
  ['docker', '/etc/docker/daemon.json', daemonJson],
  ['containerd', '/etc/containerd/certs.d/docker.io/hosts.toml', hostsToml],
  ['podman', '/etc/containers/registries.conf', registriesConf],
  ['crio', '/etc/containers/registries.conf.d/10-a.conf', registriesConf],
  ['buildkit', '/etc/buildkit/buildkitd.toml', buildkitdToml],
  ['k3s', '/etc/rancher/k3s/registries.yaml', registriesYaml],
];
for (const [client, path, text] of generated) {
  t.test(`undo of write is nothing, for generated files of ${client}`, async (t) => {
    const property = fc.property(
      text,
      eol,
      upstreams,
      fc.constantFrom(url, remote),
      (made, end, some, to) => {
        const start = { ...beside, [path]: made.replaceAll('\n', end) };
        const files = new MemoryFiles(start);
        files.write(client, to, some);
        const written = files.all();
        files.write(client, to, some);
        assert.deepEqual(files.all(), written, 'twice is once');
        files.undo(client, to);
        assert.deepEqual(files.all(), start, 'byte for byte');
        files.write(client, to, some);
        files.loseBackups();
        files.undo(client, to);
        // Nobody knows then whether an empty list was there, or a name without anything.
        assert.deepEqual(
          filled(meaning(files)),
          filled(meaning(new MemoryFiles(start))),
          'and without the copy all that says something',
        );
      },
    );
    t.doesNotThrow(() => fc.assert(property, { numRuns: 150 }));
  });
}

/** @returns a value without what is empty in it; a list of allowed hosts without what Docker starts with */
function filled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(filled);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, one]): [string, unknown][] => {
    const rest = filled(one);
    const isEmpty = rest === null || (typeof rest === 'object' && Object.keys(rest).length === 0);
    return isEmpty ? [] : [[key, rest]];
  });
  return Object.fromEntries(entries);
}
