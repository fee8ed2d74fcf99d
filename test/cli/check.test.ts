import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import type { Finding } from '../../src/check/check.ts';
import { formatFindings, lookFrom } from '../../src/cli/check-format.ts';
import { LISTENERS, launch, run, runWith, serve } from '../helpers/command.ts';
import { runHere } from '../helpers/command-here.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/engines/needs.ts';
import { startPersonaServer } from '../helpers/persona-server.ts';
import { tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { until } from '../helpers/waiting.ts';

const ESC = '\u001b';

type Shown = Omit<Finding, 'facts'> & Record<string, unknown>;

/** A machine's files, below a directory. */
async function machine(t: Test, files: Record<string, string>) {
  const root = await makeDirectory(t, 'check');
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

async function configured(t: Test, settings: object) {
  const directory = await makeDirectory(t, 'check');
  const file = join(directory, 'hubcap.yaml');
  await writeFile(
    file,
    JSON.stringify({
      storage: { directory: join(directory, 'data'), maxSize: '1GiB', minFree: 0 },
      ...settings,
    }),
  );
  return { file, data: join(directory, 'data') };
}

async function startHub(t: Test) {
  const tokens = await startTokenServer(t);
  const registry = await startRegistry(t);
  registry.push('library/alpine', imageOf('alpine', [1000]), 'latest');
  registry.act(tokened(tokens));
  return { 'docker.io': { url: registry.url, realms: [tokens.host] } };
}

function documentOf(stdout: string): { ok: boolean; checks: Shown[] } {
  return JSON.parse(stdout) as { ok: boolean; checks: Shown[] };
}

t.test(
  'a machine on which all is right: the running hubcap, its upstream, and clients of each kind',
  async (t) => {
    const { file, data } = await configured(t, { upstreams: await startHub(t) });
    const { ready } = await serve(t, ['--config', file]);
    const mirror = String(ready.listen);
    const { host } = new URL(mirror);
    const root = await machine(t, {
      'etc/docker/daemon.json': JSON.stringify({ 'registry-mirrors': [mirror] }),
      'etc/containerd/config.toml':
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
      'etc/containerd/certs.d/docker.io/hosts.toml': `[host."${mirror}"]\ncapabilities = ["pull", "resolve"]\n`,
      'etc/containers/registries.conf': `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${host}"\ninsecure = true\n`,
      'etc/rancher/k3s/registries.yaml': `mirrors:\n  docker.io:\n    endpoint: ["${mirror}"]\n`,
      'etc/buildkit/buildkitd.toml': `[registry."docker.io"]\nmirrors = ["${host}"]\n`,
    });
    const before = await readdir(data);
    const { code, stdout, stderr } = await run(
      'check',
      '--config',
      file,
      ...LISTENERS.slice(0, 4),
      '--root',
      root,
      '--json',
    );
    const { ok, checks } = documentOf(stdout);
    t.same(
      checks.filter(({ status }) => status !== 'ok'),
      [],
    );
    t.equal(code, 0, stderr);
    t.ok(ok);
    const ids = checks.map(({ id }) => id);
    const expected = [
      'configuration',
      'directory.write',
      'directory.use',
      'disk.room',
      'port.listen',
      'port.admin',
      'daemon',
      'daemon.ready',
      'clock',
      'upstream.connection',
      'upstream.registry',
      'upstream.anonymous',
    ];
    t.same(
      expected.filter((id) => !ids.includes(id)),
      [],
      'all of it was looked at',
    );
    for (const client of ['docker', 'containerd', 'podman', 'k3s', 'buildkit'])
      t.ok(ids.includes(`${client}.mirror`), client);
    t.same(await readdir(data), before, 'nothing was left behind');
  },
);

t.test('what is wrong is said for people, with what to do, and ends with 1', async (t) => {
  const { file } = await configured(t, { offline: true });
  const other = await startPersonaServer(t, () => ({
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: Buffer.from('<p>'),
  }));
  const registry = await startPersonaServer(t, () => ({
    status: 200,
    headers: { 'docker-distribution-api-version': 'registry/2.0' },
  }));
  const root = await machine(t, {
    'etc/docker/daemon.json': JSON.stringify({
      'registry-mirrors': ['http://127.0.0.1:9', other.url, registry.url],
    }),
    'lib/systemd/system/docker.service':
      '[Service]\nExecStart=/usr/sbin/dockerd --registry-mirror=http://a:1\n',
  });
  const { code, stdout, stderr } = await runWith(
    { env: { LANG: 'C.UTF-8' } },
    'check',
    '--config',
    file,
    '--root',
    root,
  );
  t.equal(code, 1);
  t.match(stdout, /⚠ offline is set.*\n {4}→ remove it/);
  t.match(
    stdout,
    /✗ \/etc\/docker\/daemon\.json: http:\/\/127\.0\.0\.1:9 refuses connections: docker goes past it\n {4}→ /,
  );
  t.match(stdout, new RegExp(`✗ .*${other.url} answers 200 to /v2/, which no registry does`));
  t.match(stdout, new RegExp(`⚠ .*${registry.url} answers, and is not hubcap`));
  t.match(stdout, /✗ --registry-mirror is given in \/lib\/systemd\/system\/docker\.service/);
  t.match(stdout, /– offline is set: no upstream is asked/);
  t.match(stdout, /\d+ right, \d+ warnings, 3 failed, \d+ not looked at\n$/);
  t.match(stderr, /3 checks failed/);
  t.notOk(stdout.includes(ESC), 'no colours where nobody sees them');
});

t.test('a broken configuration: every problem at once, the clients all the same, and 2', async (t) => {
  const { file } = await configured(t, { listen: 'nowhere', upstreams: { 'docker.io': { ulr: 'x' } } });
  const root = await machine(t, { 'etc/docker/daemon.json': '{' });
  const { code, stdout } = await run('check', '--config', file, '--root', root, '--json');
  t.equal(code, 2);
  const { ok, checks } = documentOf(stdout);
  t.notOk(ok);
  t.same(
    checks.map(({ id, status }) => `${id} ${status}`),
    ['configuration failed', 'configuration failed', 'docker.json failed'],
  );
});

t.test("a part alone, an image of one's own, and options that mean nothing", async (t) => {
  const { file } = await configured(t, { upstreams: await startHub(t) });
  const root = await machine(t, {});
  const clients = documentOf(
    (await run('check', '--config', file, '--only', 'clients', '--root', root, '--json')).stdout,
  );
  t.same(
    clients.checks.map(({ id }) => id),
    ['configuration', 'clients.none'],
  );
  const image = await run(
    'check',
    '--config',
    file,
    '--only',
    'upstreams',
    '--image',
    'nothing:here',
    '--json',
  );
  t.match(documentOf(image.stdout).checks.at(-1), {
    id: 'upstream.anonymous',
    status: 'warning',
    message: /has no library\/nothing:here/,
  });
  t.equal(image.code, 0, 'warnings are no failure');
  t.match(await runHere('check', '--config', file, '--only', 'nothing'), {
    code: 2,
    stderr: /--only nothing/,
  });
  t.match(await runHere('check', '--config', file, '--image', 'UPPER CASE'), {
    code: 2,
    stderr: /no name of an image/,
  });
  t.match(await runHere('check', '--config', file, '--image', 'ghcr.io/a/b'), {
    code: 2,
    stderr: /ghcr\.io is not under upstreams/,
  });
});

t.test('mirrors that need more than they have', async (t) => {
  const { file } = await configured(t, { upstreams: await startHub(t) });
  const { ready } = await serve(t, ['--config', file]);
  const { host, port } = new URL(String(ready.listen));
  const root = await machine(t, {
    'etc/containerd/certs.d/quay.io/hosts.toml': `[host."http://${host}"]\n`,
    'etc/containers/registries.conf': `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${host}"\n[[registry]]\nlocation = "ghcr.io"\n[[registry.mirror]]\nlocation = "${host}"\ninsecure = true\n`,
  });
  const found = documentOf(
    (
      await run(
        'check',
        '--config',
        file,
        '--listen',
        `127.0.0.1:${port}`,
        '--only',
        'clients',
        '--root',
        root,
        '--json',
      )
    ).stdout,
  );
  t.same(
    found.checks.filter(({ status }) => status === 'failed').map(({ id }) => id),
    ['containerd.config-path', 'containerd.registry', 'podman.insecure', 'podman.path'],
  );
});

t.test('Ctrl-C ends it while somebody is silent', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets: { destroy(): void }[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const { file } = await configured(t, { upstreams: { 'docker.io': { url: `http://127.0.0.1:${port}` } } });
  const { child, ended } = launch(t, 'check', '--config', file, '--only', 'upstreams');
  await until('the upstream is asked', () => sockets.length > 1);
  child.kill('SIGINT');
  t.match(await ended, { code: 130, stderr: /interrupted/ });
});

t.test('what cannot be read is said, and is no failure', async (t) => {
  const root = await machine(t, { 'etc/docker/daemon.json/file': '' });
  const { file } = await configured(t, {});
  const { stdout, code } = await run(
    ...['check', '--config', file, '--only', 'clients', '--root', root, '--json'],
  );
  t.equal(code, 0);
  t.match(documentOf(stdout).checks.at(-1), {
    id: 'clients.unread',
    status: 'skipped',
    message: /is no file/,
  });
});

t.test('lines without Unicode and with colours', async (t) => {
  const finding: Finding = {
    id: 'a',
    group: 'disk',
    status: 'failed',
    message: 'bad “thing”\u001b[2J',
    remedy: 'mend it',
    facts: {},
  };
  const ascii = formatFindings([finding], lookFrom({ LANG: 'C' }, true));
  t.ok(ascii.includes(`${ESC}[31m[FAIL]${ESC}[0m bad ?thing?\\x1b[2J\n         -> mend it`), ascii);
  t.match(
    formatFindings([finding], lookFrom({ LC_ALL: 'de_DE.UTF-8', NO_COLOR: '1' }, true)),
    /^disk\n {2}✗ bad “thing”\\x1b\[2J\n {4}→ mend it\n\n0 right, 1 failed\n$/,
  );
  t.notOk(lookFrom({ LANG: 'C.UTF-8', LC_ALL: 'C' }, false).isUnicode, 'LC_ALL goes before LANG');
});

t.test('the file that is read is not written', async (t) => {
  const text = '{"registry-mirror": []}';
  const root = await machine(t, { 'etc/docker/daemon.json': text });
  const { file, data } = await configured(t, { offline: true });
  t.equal((await run('check', '--config', file, '--root', root)).code, 1);
  t.equal(await readFile(join(root, 'etc/docker/daemon.json'), 'utf8'), text);
  await t.rejects(readdir(data), { code: 'ENOENT' }, 'nor is the data directory made');
});
