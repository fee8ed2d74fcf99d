/** Files that are not understood, or would not work, are refused with the place, and nothing is changed. */
import t from 'tap';
import type { FileClient } from '../../src/clients/plan.ts';
import { MemoryFiles } from './memory-files.ts';

const url = new URL('http://127.0.0.1:5000');
const CRI = 'plugins."io.containerd.grpc.v1.cri".registry';

const cases: Record<string, [client: FileClient, path: string, text: string, message: RegExp]> = {
  'JSON with a comment, with which Docker does not start': [
    'docker',
    '/etc/docker/daemon.json',
    '{\n  // ours\n  "debug": true\n}\n',
    /^\/etc\/docker\/daemon\.json:2:3: it is no JSON: invalid comment token$/,
  ],
  'JSON with a comma too many': [
    'docker',
    '/etc/docker/daemon.json',
    '{\n  "debug": true,\n}\n',
    /daemon\.json:3:1: it is no JSON: /,
  ],
  'JSON that is cut off': [
    'docker',
    '/etc/docker/daemon.json',
    '{"debug": ',
    /daemon\.json:1:11: it is no JSON: value expected/,
  ],
  'JSON that is a list': [
    'docker',
    '/etc/docker/daemon.json',
    '[]',
    /daemon\.json:1:1: it is no JSON object/,
  ],
  'mirrors that are no list': [
    'docker',
    '/etc/docker/daemon.json',
    '{\n "registry-mirrors": "https://a"}',
    /daemon\.json:2:22: registry-mirrors is no list of texts/,
  ],
  'a key that is there twice': [
    'docker',
    '/etc/docker/daemon.json',
    '{"registry-mirrors": [],\n"registry-mirrors": []}',
    /daemon\.json:2:1: registry-mirrors is there twice/,
  ],
  'no TOML': [
    'containerd',
    '/etc/containerd/config.toml',
    'version = 2\n[plugins\n',
    /^\/etc\/containerd\/config\.toml:\d+:\d+: it is no TOML: /,
  ],
  'a hosts.toml that is no TOML': [
    'containerd',
    '/etc/containerd/certs.d/docker.io/hosts.toml',
    'server = https://a\n',
    /docker\.io\/hosts\.toml:1:10: it is no TOML: /,
  ],
  'hosts of which containerd does not see the order': [
    'containerd',
    '/etc/containerd/certs.d/docker.io/hosts.toml',
    '# x\nhost."https://a".capabilities = ["pull"]\n',
    /hosts\.toml:2:1: host is written without a header/,
  ],
  'the mirrors of an older containerd': [
    'containerd',
    '/etc/containerd/config.toml',
    `version = 2\n[${CRI}.mirrors."docker.io"]\n  endpoint = ["https://a"]\n`,
    /config\.toml:2:1: registry\.mirrors cannot stand beside config_path: move what it says into hosts\.toml/,
  ],
  'the TLS settings of an older containerd': [
    'containerd',
    '/etc/containerd/config.toml',
    `version = 2\n[${CRI}.configs."a".tls]\n  ca_file = "x"\n`,
    /config\.toml:2:1: registry\.configs\.….tls cannot stand beside config_path/,
  ],
  'a registry table in braces': [
    'containerd',
    '/etc/containerd/config.toml',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nregistry = { headers = {} }\n',
    /config\.toml: the table \[.*\] is written in a way that hubcap does not change|config\.toml:\d+:\d+: /,
  ],
  'mirrors of podman in brackets': [
    'podman',
    '/etc/containers/registries.conf',
    '[[registry]]\nlocation = "docker.io"\nmirror = [{ location = "a" }]\n',
    /registries\.conf:1:1: the mirrors of docker\.io are written without headers/,
  ],
  'a mirror that podman would ask by TLS': [
    'podman',
    '/etc/containers/registries.conf',
    '[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "127.0.0.1:5000"\n',
    /registries\.conf:1:1: the mirror 127\.0\.0\.1:5000 of docker\.io needs insecure = true/,
  ],
  'a registry of BuildKit in braces': [
    'buildkit',
    '/etc/buildkit/buildkitd.toml',
    '[registry]\n"docker.io" = { mirrors = [] }\n',
    /buildkitd\.toml:1:1: the settings of docker\.io are written without a header/,
  ],
  'a mirror that BuildKit is to ask by TLS': [
    'buildkit',
    '/etc/buildkit/buildkitd.toml',
    '[registry."127.0.0.1:5000"]\nhttp = false\n',
    /buildkitd\.toml:2:1: 127\.0\.0\.1:5000 needs http = true/,
  ],
  'no YAML': [
    'k3s',
    '/etc/rancher/k3s/registries.yaml',
    'mirrors:\n  a: [\n',
    /registries\.yaml:\d+:\d+: it is no YAML: /,
  ],
  'YAML with a key twice': [
    'k3s',
    '/etc/rancher/k3s/registries.yaml',
    'a: 1\na: 2\n',
    /registries\.yaml:2:1: it is no YAML: Map keys must be unique/,
  ],
  'YAML that is a list': [
    'k3s',
    '/etc/rancher/k3s/registries.yaml',
    '- a\n',
    /registries\.yaml:1:1: it is no mapping/,
  ],
  'mirrors of k3s in braces': [
    'k3s',
    '/etc/rancher/k3s/registries.yaml',
    'mirrors: {quay.io: {}}\n',
    /registries\.yaml: the mirrors of docker\.io are written in a way that hubcap does not change/,
  ],
};

for (const [what, [client, path, text, message]] of Object.entries(cases)) {
  t.test(what, async (t) => {
    const files = new MemoryFiles({ [path]: text });
    t.throws(() => files.write(client, url, ['docker.io']), { name: 'UneditableError', message });
    t.strictSame(files.all(), { [path]: text });
  });
}

t.test('one file of several that is not understood keeps all as they are', async (t) => {
  const start = { '/etc/docker/daemon.json': '{}', '/etc/docker/certs.d/ghcr.io/hosts.toml': '[' };
  const files = new MemoryFiles(start);
  t.throws(() => files.write('docker', url, ['docker.io', 'ghcr.io']), { name: 'UneditableError' });
  t.strictSame(files.all(), start);
});
