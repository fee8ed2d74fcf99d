/** What setup makes of the files that are there: all else stays, to write twice is to write once, undo takes it out. */
import t from 'tap';
import type { FileClient } from '../../src/clients/plan.ts';
import { MemoryFiles } from './memory-files.ts';

const url = new URL('http://127.0.0.1:5000');

interface Case {
  client: FileClient;
  path: string;
  /** undefined where there is no file */
  before: string | undefined;
  after: string;
  upstreams?: string[];
  url?: URL;
}

const DAEMON_JSON = '/etc/docker/daemon.json';
const docker = (before: string | undefined, after: string, more: Partial<Case> = {}): Case => ({
  client: 'docker',
  path: DAEMON_JSON,
  before,
  after,
  ...more,
});
const remote = { url: new URL('http://10.0.0.5:5000') };
const whole = '{\n  "registry-mirrors": [\n    "http://127.0.0.1:5000"\n  ]\n}\n';

const dockerCases: Record<string, Case> = {
  'no file': docker(undefined, whole),
  'an empty file': docker('', whole),
  'blanks alone': docker(' \n', whole),
  'an empty object': docker('{}', '{\n  "registry-mirrors": ["http://127.0.0.1:5000"]\n}'),
  'an empty object on two lines': docker('{\n}\n', '{\n  "registry-mirrors": ["http://127.0.0.1:5000"]\n}\n'),
  'other keys in odd form': docker(
    '{\n  "debug" :true,\n    "hosts": [ "fd://" ] }',
    '{\n  "debug" :true,\n    "hosts": [ "fd://" ],\n    "registry-mirrors": ["http://127.0.0.1:5000"] }',
  ),
  'one line': docker('{ "debug": true }', '{ "debug": true, "registry-mirrors": ["http://127.0.0.1:5000"] }'),
  'another mirror': docker(
    '{"registry-mirrors":["https://a"]}',
    '{"registry-mirrors":["http://127.0.0.1:5000", "https://a"]}',
  ),
  'other mirrors on lines, tabs': docker(
    '{\n\t"registry-mirrors": [\n\t\t"https://a",\n\t\t"https://b"\n\t]\n}\n',
    '{\n\t"registry-mirrors": [\n\t\t"http://127.0.0.1:5000",\n\t\t"https://a",\n\t\t"https://b"\n\t]\n}\n',
  ),
  'no mirror yet': docker('{"registry-mirrors": [ ]}', '{"registry-mirrors": ["http://127.0.0.1:5000" ]}'),
  CRLF: docker(
    '{\r\n  "debug": true\r\n}\r\n',
    '{\r\n  "debug": true,\r\n  "registry-mirrors": ["http://127.0.0.1:5000"]\r\n}\r\n',
  ),
  'there already': docker(
    '{"registry-mirrors":["http://127.0.0.1:5000"]}',
    '{"registry-mirrors":["http://127.0.0.1:5000"]}',
  ),
  'there already with a slash': docker(
    '{"registry-mirrors":["https://a","http://127.0.0.1:5000/"]}',
    '{"registry-mirrors":["https://a","http://127.0.0.1:5000/"]}',
  ),
  'plain HTTP elsewhere': docker(
    '{}',
    '{\n  "registry-mirrors": ["http://10.0.0.5:5000"],\n  "insecure-registries": ["127.0.0.0/8", "::1/128", "http://10.0.0.5:5000"]\n}',
    remote,
  ),
  'plain HTTP elsewhere, others allowed': docker(
    '{"insecure-registries":["b:1"]}',
    '{"insecure-registries":["http://10.0.0.5:5000", "b:1"], "registry-mirrors": ["http://10.0.0.5:5000"]}',
    remote,
  ),
  'plain HTTP elsewhere, allowed without the scheme': docker(
    '{"insecure-registries":["10.0.0.5:5000"]}',
    '{"insecure-registries":["10.0.0.5:5000"], "registry-mirrors": ["http://10.0.0.5:5000"]}',
    remote,
  ),
  'plain HTTP on the loopback, where others alone are allowed': docker(
    '{"insecure-registries":["b:1"]}',
    '{"insecure-registries":["b:1"], "registry-mirrors": ["http://127.0.0.1:5000"]}',
  ),
  'plain HTTP on the loopback, where that is allowed': docker(
    '{"insecure-registries":["127.0.0.0/8"]}',
    '{"insecure-registries":["127.0.0.0/8"], "registry-mirrors": ["http://127.0.0.1:5000"]}',
  ),
};

const HUB = '/etc/containerd/certs.d/docker.io/hosts.toml';
const OURS = '[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n';
const hosts = (before: string | undefined, after: string): Case => ({
  client: 'containerd',
  path: HUB,
  before,
  after,
});
const hostsCases: Record<string, Case> = {
  'no file': hosts(undefined, `server = "https://registry-1.docker.io"\n\n${OURS}`),
  'an empty file': hosts('', `server = "https://registry-1.docker.io"\n\n${OURS}`),
  'another server': hosts('server = "https://a" # ours', `server = "https://a" # ours\n\n${OURS}`),
  'another host': hosts(
    'server = "https://a"\n\n# near\n[host."https://b"]\n  capabilities = ["pull"]\n[host."https://b".header]\n  x = "1"\n',
    `server = "https://a"\n\n${OURS}\n# near\n[host."https://b"]\n  capabilities = ["pull"]\n[host."https://b".header]\n  x = "1"\n`,
  ),
  'CRLF and indented': hosts(
    '  [host."https://b"]\r\n    skip_verify = true',
    `  [host."http://127.0.0.1:5000"]\r\n    capabilities = ["pull", "resolve"]\r\n\r\n  [host."https://b"]\r\n    skip_verify = true`,
  ),
  'there already, in other words': hosts(
    `[host."https://b"]\n[host.'http://127.0.0.1:5000/']\ncapabilities=["pull"]\n`,
    `[host."https://b"]\n[host.'http://127.0.0.1:5000/']\ncapabilities=["pull"]\n`,
  ),
};

const CONFIG = '/etc/containerd/config.toml';
const config = (before: string | undefined, after: string): Case => ({
  client: 'containerd',
  path: CONFIG,
  before,
  after,
});
const V2 = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n';
const configCases: Record<string, Case> = {
  'no file': config(undefined, `version = 2\n\n${V2}`),
  'comments alone': config('# see man\n', `# see man\n\nversion = 2\n\n${V2}`),
  'version 2': config(
    'version = 2\n[debug]\nlevel = "info"',
    `version = 2\n[debug]\nlevel = "info"\n\n${V2}`,
  ),
  'version 2, an empty table': config(
    "version = 2\n\n  [plugins.'io.containerd.grpc.v1.cri'.registry] # here\n\n[debug]\n",
    'version = 2\n\n  [plugins.\'io.containerd.grpc.v1.cri\'.registry] # here\n    config_path = "/etc/containerd/certs.d"\n\n[debug]\n',
  ),
  'version 2, an empty path': config(
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n   config_path = '' # none\n`,
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n   config_path = "/etc/containerd/certs.d" # none\n`,
  ),
  'version 2, other keys in the table': config(
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n\theaders = {}\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors]\n',
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n\tconfig_path = "/etc/containerd/certs.d"\n\theaders = {}\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors]\n',
  ),
  'version 2, a table below it alone': config(
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.headers]\nUser-Agent = ["x"]\n',
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.headers]\nUser-Agent = ["x"]\n\n${V2}`,
  ),
  'version 3': config(
    'version = 3\n',
    'version = 3\n\n[plugins."io.containerd.cri.v1.images".registry]\n  config_path = "/etc/containerd/certs.d"\n',
  ),
  'no version, which is the first': config(
    'oom_score = 0\n',
    'oom_score = 0\n\n[plugins.cri.registry]\n  config_path = "/etc/containerd/certs.d"\n',
  ),
  'a path that is set': config(`version = 2\n${V2}`, `version = 2\n${V2}`),
};

const CONF = '/etc/containers/registries.conf';
const OWN = '/etc/containers/registries.conf.d/50-hubcap.conf';
const MIRROR = '[[registry.mirror]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n';
const podman = (path: string, before: string | undefined, after: string): Case => ({
  client: 'podman',
  path,
  before,
  after,
});
const podmanCases: Record<string, Case> = {
  'no file': podman(OWN, undefined, `[[registry]]\nlocation = "docker.io"\n\n${MIRROR}`),
  'an empty file of that name': podman(OWN, '', `[[registry]]\nlocation = "docker.io"\n\n${MIRROR}`),
  'a table without a mirror': podman(
    CONF,
    '[[registry]]\nlocation = "docker.io" # here\n\n[[registry]]\nlocation = "quay.io"\n',
    `[[registry]]\nlocation = "docker.io" # here\n\n${MIRROR}\n[[registry]]\nlocation = "quay.io"\n`,
  ),
  'a table without a mirror and without an end of line': podman(
    CONF,
    '[[registry]]\nprefix = "docker.io"\nlocation = "a"',
    `[[registry]]\nprefix = "docker.io"\nlocation = "a"\n\n${MIRROR}`,
  ),
  'a table with a mirror, CRLF': podman(
    CONF,
    '[[registry]]\r\nlocation = "docker.io"\r\n  # near\r\n  [[registry.mirror]]\r\n  location = "a"\r\n',
    '[[registry]]\r\nlocation = "docker.io"\r\n  [[registry.mirror]]\r\n  location = "127.0.0.1:5000"\r\n  insecure = true\r\n\r\n  # near\r\n  [[registry.mirror]]\r\n  location = "a"\r\n',
  ),
  'there already': podman(
    CONF,
    `[[registry]]\nlocation = "docker.io"\n${MIRROR}`,
    `[[registry]]\nlocation = "docker.io"\n${MIRROR}`,
  ),
};

const BUILDKITD = '/etc/buildkit/buildkitd.toml';
const HTTP = '[registry."127.0.0.1:5000"]\n  http = true\n';
const buildkit = (before: string | undefined, after: string): Case => ({
  client: 'buildkit',
  path: BUILDKITD,
  before,
  after,
});
const buildkitCases: Record<string, Case> = {
  'no file': buildkit(undefined, `[registry."docker.io"]\n  mirrors = ["127.0.0.1:5000"]\n\n${HTTP}`),
  'other tables': buildkit(
    'debug = true # x\n[worker.oci]\n  gc = true',
    `debug = true # x\n[worker.oci]\n  gc = true\n\n[registry."docker.io"]\n  mirrors = ["127.0.0.1:5000"]\n\n${HTTP}`,
  ),
  'other mirrors': buildkit(
    '[registry."docker.io"]\n  mirrors = [ # near\n    "a", # first\n    "b",\n  ]\n',
    `[registry."docker.io"]\n  mirrors = [ # near\n    "127.0.0.1:5000",\n    "a", # first\n    "b",\n  ]\n\n${HTTP}`,
  ),
  'no mirrors in the table': buildkit(
    '[registry."docker.io"]\n\tca = ["x"]\n',
    `[registry."docker.io"]\n\tmirrors = ["127.0.0.1:5000"]\n\tca = ["x"]\n\n${HTTP}`,
  ),
  'the host is there for something else': buildkit(
    '[registry."127.0.0.1:5000"]\n  insecure = false\n',
    '[registry."127.0.0.1:5000"]\n  http = true\n  insecure = false\n\n[registry."docker.io"]\n  mirrors = ["127.0.0.1:5000"]\n',
  ),
  'there already': buildkit(
    `[registry."docker.io"]\nmirrors=["a", "http://127.0.0.1:5000"]\n${HTTP}`,
    `[registry."docker.io"]\nmirrors=["a", "http://127.0.0.1:5000"]\n${HTTP}`,
  ),
};

const REGISTRIES = '/etc/rancher/k3s/registries.yaml';
const k3s = (before: string | undefined, after: string, more: Partial<Case> = {}): Case => ({
  client: 'k3s',
  path: REGISTRIES,
  before,
  after,
  ...more,
});
const HUB_YAML = '  "docker.io":\n    endpoint:\n      - "http://127.0.0.1:5000"\n';
const k3sCases: Record<string, Case> = {
  'no file': k3s(undefined, `mirrors:\n${HUB_YAML}`),
  'an empty file': k3s('', `mirrors:\n${HUB_YAML}`),
  'comments alone': k3s('# none yet', `# none yet\n\nmirrors:\n${HUB_YAML}`),
  'other keys': k3s('configs:\n  a: {} # x\n', `configs:\n  a: {} # x\n\nmirrors:\n${HUB_YAML}`),
  'an empty mapping': k3s('{}\n', `mirrors:\n${HUB_YAML}`),
  'mirrors without any': k3s('mirrors: # none\nconfigs: {}\n', `mirrors: # none\n${HUB_YAML}configs: {}\n`),
  'two registries in order': k3s(
    'mirrors:\n  quay.io: {}\n',
    `mirrors:\n${HUB_YAML}${HUB_YAML.replace('docker.io', 'ghcr.io')}  quay.io: {}\n`,
    { upstreams: ['docker.io', 'ghcr.io'] },
  ),
  'others, wider': k3s(
    'mirrors:\n    # mine\n    ghcr.io:\n        endpoint:\n            - a\n',
    'mirrors:\n    "docker.io":\n      endpoint:\n        - "http://127.0.0.1:5000"\n    # mine\n    ghcr.io:\n        endpoint:\n            - a\n',
  ),
  'other endpoints': k3s(
    'mirrors:\n  docker.io:\n    endpoint:\n    # near\n    - "https://a" # first\n    rewrite:\n      a: b\n',
    'mirrors:\n  docker.io:\n    endpoint:\n    # near\n    - "http://127.0.0.1:5000"\n    - "https://a" # first\n    rewrite:\n      a: b\n',
  ),
  'endpoints in brackets': k3s(
    'mirrors:\n  docker.io:\n    endpoint: [ "https://a" ]\n',
    'mirrors:\n  docker.io:\n    endpoint: [ "http://127.0.0.1:5000", "https://a" ]\n',
  ),
  'no endpoint': k3s(
    'mirrors:\r\n  docker.io:\r\n    rewrite: {}',
    'mirrors:\r\n  docker.io:\r\n    endpoint:\r\n      - "http://127.0.0.1:5000"\r\n    rewrite: {}',
  ),
  'the name alone': k3s(
    'mirrors:\n  docker.io:',
    'mirrors:\n  docker.io:\n    endpoint:\n      - "http://127.0.0.1:5000"\n',
  ),
  'there already': k3s(
    'mirrors: {docker.io: {endpoint: ["https://a", "http://127.0.0.1:5000/v2"]}}\n',
    'mirrors: {docker.io: {endpoint: ["https://a", "http://127.0.0.1:5000/v2"]}}\n',
  ),
};

const groups = {
  'daemon.json': dockerCases,
  'hosts.toml': hostsCases,
  'config.toml': configCases,
  'registries.conf': podmanCases,
  'buildkitd.toml': buildkitCases,
  'registries.yaml': k3sCases,
};
for (const [file, cases] of Object.entries(groups)) {
  for (const [
    what,
    { client, path, before, after, upstreams = ['docker.io'], url: to = url },
  ] of Object.entries(cases)) {
    t.test(`${file}: ${what}`, async (t) => {
      const beside = path === HUB ? { [CONFIG]: `version = 2\n${V2}` } : {};
      const start = before === undefined ? beside : { ...beside, [path]: before };
      const files = new MemoryFiles(start);
      files.write(client, to, upstreams);
      t.equal(files.read(path), after);
      const written = files.all();
      t.strictSame(files.write(client, to, upstreams), {}, 'twice is once');
      t.strictSame(files.all(), written);
      if (before === after) return; // it was there: there is nothing to go back to
      files.undo(client, to);
      t.strictSame(files.all(), start, 'undo restores it, byte for byte');
      t.strictSame(files.undo(client, to), {}, 'twice is once');
    });
  }
}

t.test('podman: the table is looked for where it counts, in the last file that has it', async (t) => {
  const table = '[[registry]]\nlocation = "docker.io"\n';
  const start = {
    [CONF]: table,
    '/etc/containers/registries.conf.d/10-a.conf': table,
    '/etc/containers/registries.conf.d/90-b.conf': 'unqualified-search-registries = []\n',
    '/etc/containers/registries.conf.d/99-c.txt': table,
  };
  const files = new MemoryFiles(start);
  const made = files.write('podman', url, ['docker.io', 'ghcr.io']);
  t.strictSame(made, { '/etc/containers/registries.conf.d/10-a.conf': 'changed', [OWN]: 'created' });
  t.match(files.read(OWN), /^\[\[registry\]\]\nlocation = "ghcr\.io"\n/);
  t.strictSame(files.write('podman', url, ['docker.io', 'ghcr.io']), {});
  files.undo('podman', url);
  t.strictSame(files.all(), start);
});

t.test('containerd: hosts.toml files go where config_path says', async (t) => {
  const start = {
    [CONFIG]: 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/a:/b"\n',
    '/b/docker.io/hosts.toml': '[host."https://x"]\n',
    '/b/registry.example_5000_/hosts.toml': '',
  };
  const files = new MemoryFiles(start);
  const made = files.write('containerd', url, ['docker.io', 'ghcr.io', 'registry.example:5000']);
  t.strictSame(made, {
    '/b/docker.io/hosts.toml': 'changed',
    '/a/ghcr.io/hosts.toml': 'created',
    '/b/registry.example_5000_/hosts.toml': 'changed',
  });
  files.undo('containerd', url);
  t.strictSame(files.all(), start);
});

t.test('containerd: config_path stays where others rely on it', async (t) => {
  const files = new MemoryFiles({ [CONFIG]: 'version = 2\n' });
  files.write('containerd', url, ['docker.io']);
  files.texts.set('/etc/containerd/certs.d/quay.io/hosts.toml', '[host."https://x"]\n');
  t.strictSame(files.undo('containerd', url), { [HUB]: 'removed' });
});

t.test('containerd: a file that switches CRI off, as Docker brings it, is left as it is', async (t) => {
  const start = { [CONFIG]: 'disabled_plugins = ["cri"]\n' };
  const files = new MemoryFiles(start);
  t.strictSame(files.write('containerd', url, ['docker.io']), { [HUB]: 'created' });
  files.undo('containerd', url);
  t.strictSame(files.all(), start);
});

t.test(
  'Docker: a hosts.toml for Docker Hub comes before registry-mirrors, so it gets the mirror too',
  async (t) => {
    const hub = '/etc/docker/certs.d/docker.io/hosts.toml';
    const start = { [hub]: '[host."https://x"]\n' };
    const files = new MemoryFiles(start);
    t.strictSame(files.write('docker', url, ['docker.io']), { [DAEMON_JSON]: 'created', [hub]: 'changed' });
    files.undo('docker', url);
    t.strictSame(files.all(), start);
  },
);

t.test('RKE2: its file is taken where k3s is not there', async (t) => {
  const files = new MemoryFiles({ '/etc/rancher/rke2/config.yaml': '' });
  t.strictSame(files.write('k3s', url, ['docker.io']), { '/etc/rancher/rke2/registries.yaml': 'created' });
});
