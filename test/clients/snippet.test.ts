/** What is shown to be copied is what each client takes. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser';
import { parse } from 'yaml';
import { type ClientName, clientNames, type SnippetFile, snippetFor } from '../../src/clients/snippet.ts';

const local = new URL('http://127.0.0.1:5000');
const remote = new URL('http://10.0.0.5:5000');
const secure = new URL('https://mirror.example');
const upstreams = ['docker.io', 'ghcr.io'];

/** What the files mean. */
function read({ language, text }: SnippetFile): unknown {
  if (language === 'json') return JSON.parse(text);
  if (language === 'yaml') return parse(text);
  return language === 'toml' ? getStaticTOMLValue(parseTOML(text)) : text.trim();
}

function filesOf(client: ClientName, url: URL, hosts = upstreams): Record<string, unknown> {
  const { files } = snippetFor(client, { url, upstreams: hosts });
  return Object.fromEntries(files.map((file) => [file.path ?? 'command', read(file)]));
}

t.test('Docker: plain HTTP on the loopback needs nothing else', async (t) => {
  t.strictSame(filesOf('docker', local, ['docker.io']), {
    '/etc/docker/daemon.json': { 'registry-mirrors': ['http://127.0.0.1:5000'] },
  });
});

t.test('Docker: plain HTTP elsewhere is allowed, and on the loopback stays so', async (t) => {
  const insecure = ['127.0.0.0/8', '::1/128', 'http://10.0.0.5:5000'];
  t.match(filesOf('docker', remote), {
    '/etc/docker/daemon.json': {
      'registry-mirrors': ['http://10.0.0.5:5000'],
      'insecure-registries': insecure,
    },
    '/etc/docker/certs.d/ghcr.io/hosts.toml': { server: 'https://ghcr.io' },
  });
  const { 'insecure-registries': withTls } = filesOf('docker', secure)['/etc/docker/daemon.json'] as Record<
    string,
    unknown
  >;
  t.equal(withTls, undefined);
});

t.test('Docker: what is not mirrored is named', async (t) => {
  const { notes } = snippetFor('docker', { url: local, upstreams: [...upstreams, 'quay.io'] });
  t.match(
    notes.join('\n'),
    /Any other Docker does not look at it, and fetches from ghcr.io and quay.io without the mirror/,
  );
  t.notMatch(snippetFor('docker', { url: local, upstreams: ['docker.io'] }).notes.join('\n'), /Docker 29/);
});

t.test('containerd: one hosts.toml per registry, which is asked by its own name at last', async (t) => {
  const host = { 'http://127.0.0.1:5000': { capabilities: ['pull', 'resolve'] } };
  t.strictSame(filesOf('containerd', local, ['docker.io', 'registry.example:5000', 'localhost:5001']), {
    '/etc/containerd/certs.d/docker.io/hosts.toml': { server: 'https://registry-1.docker.io', host },
    '/etc/containerd/certs.d/registry.example:5000/hosts.toml': {
      server: 'https://registry.example:5000',
      host,
    },
    '/etc/containerd/certs.d/localhost:5001/hosts.toml': { server: 'http://localhost:5001', host },
    '/etc/containerd/config.toml': {
      version: 2,
      plugins: { 'io.containerd.grpc.v1.cri': { registry: { config_path: '/etc/containerd/certs.d' } } },
    },
  });
});

t.test(
  'podman and CRI-O: the location of the mirror has the name of any registry but Docker Hub',
  async (t) => {
    for (const client of ['podman', 'crio'] as const) {
      t.strictSame(filesOf(client, local), {
        '/etc/containers/registries.conf.d/50-hubcap.conf': {
          registry: [
            { location: 'docker.io', mirror: [{ location: '127.0.0.1:5000', insecure: true }] },
            { location: 'ghcr.io', mirror: [{ location: '127.0.0.1:5000/ghcr.io', insecure: true }] },
          ],
        },
      });
    }
    t.match(filesOf('podman', secure), {
      '/etc/containers/registries.conf.d/50-hubcap.conf': {
        registry: [{ mirror: [{ location: 'mirror.example:443', insecure: undefined }] }, {}],
      },
    });
  },
);

t.test('BuildKit: a mirror is a host, and plain HTTP is said of that host', async (t) => {
  const mirrors = { mirrors: ['10.0.0.5:5000'] };
  t.match(filesOf('buildkit', remote), {
    '/etc/buildkit/buildkitd.toml': {
      registry: { 'docker.io': mirrors, 'ghcr.io': mirrors, '10.0.0.5:5000': { http: true } },
    },
    command: /^docker buildx create .*--buildkitd-config \/etc\/buildkit\/buildkitd\.toml$/,
  });
  t.notMatch(filesOf('buildkit', remote).command, 'network=host');
  t.match(filesOf('buildkit', local).command, 'network=host', "a builder's loopback is its own");
  t.strictSame(filesOf('buildkit', secure, ['docker.io'])['/etc/buildkit/buildkitd.toml'], {
    registry: { 'docker.io': { mirrors: ['mirror.example'] } },
  });
});

t.test('k3s: endpoints', async (t) => {
  t.strictSame(filesOf('k3s', local), {
    '/etc/rancher/k3s/registries.yaml': {
      mirrors: {
        'docker.io': { endpoint: ['http://127.0.0.1:5000'] },
        'ghcr.io': { endpoint: ['http://127.0.0.1:5000'] },
      },
    },
  });
});

t.test('kaniko: flags, for Docker Hub alone', async (t) => {
  t.strictSame(filesOf('kaniko', remote), {
    command: '--registry-mirror=10.0.0.5:5000 --insecure-registry=10.0.0.5:5000',
  });
  t.match(snippetFor('kaniko', { url: remote, upstreams }).notes.join('\n'), /Not mirrored: ghcr\.io/);
  t.equal(filesOf('kaniko', secure).command, '--registry-mirror=mirror.example:443');
  t.strictSame(filesOf('kaniko', remote, ['ghcr.io']), {});
});

t.test('an address in IPv6 is written with its brackets', async (t) => {
  for (const client of clientNames) {
    const { files } = snippetFor(client, { url: new URL('http://[2001:db8::1]:5000'), upstreams });
    t.ok(
      files.every(
        ({ path, text }) => path?.endsWith('config.toml') || /\[2001:db8::1\]:5000|buildx/.test(text),
      ),
      client,
    );
    for (const file of files) t.doesNotThrow(() => read(file));
  }
});

t.test('the browser can use it: nothing of node is imported', async (t) => {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const source = readFileSync(path, 'utf8');
    for (const [, name = ''] of source.matchAll(/\bfrom '([^']+)'/g)) {
      t.match(name, /^\.\.?\//, `${path} imports ${name}`);
      visit(join(dirname(path), name));
    }
    t.notMatch(source, /\b(?:process|Buffer)\b/);
  };
  visit(join(import.meta.dirname, '../../src/clients/snippet.ts'));
  t.ok(seen.size > 6, 'the files were found');
});
