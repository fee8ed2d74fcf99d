/** `hubcap setup` as its user gives it: what it prints, what it refuses, and its exit codes. */
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseOrigin, parseUpstream } from '../../src/cli/setup-wish.ts';
import { run, runWith } from '../helpers/command.ts';
import { runHere } from '../helpers/command-here.ts';
import { makeRoot } from '../helpers/setup-root.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const url = ['--url', 'http://127.0.0.1:5000'];
const hub = ['--upstream', 'docker.io'];
const DAEMON_JSON = '/etc/docker/daemon.json';

t.test('what is to be put where is printed, all else as comments', async (t) => {
  const { code, stdout, stderr } = await run('setup', 'docker', ...url, ...hub);
  t.equal(code, 0);
  t.equal(stderr, '');
  t.match(
    stdout,
    '# /etc/docker/daemon.json\n{\n  "registry-mirrors": [\n    "http://127.0.0.1:5000"\n  ]\n}\n\n# then\nsystemctl reload docker\n\n# registry-mirrors is for Docker Hub alone',
  );
});

t.test('the address and the registries are those of the configuration', async (t) => {
  const root = makeRoot(t);
  const config = join(root.path, 'hubcap.yaml');
  const setup = async (...args: string[]) =>
    await runHere('setup', 'k3s', '--config', config, '--json', ...args);
  writeFileSync(config, 'listen: 127.0.0.2:5555\nupstreams: { ghcr.io: {} }\n');
  const made = JSON.parse((await setup()).stdout);
  t.match(made, {
    url: 'http://127.0.0.2:5555',
    upstreams: ['docker.io', 'ghcr.io'],
    client: 'k3s',
    title: 'k3s and RKE2',
  });
  t.equal(made.files[0].path, '/etc/rancher/k3s/registries.yaml');
  const other = JSON.parse((await setup('--upstream', 'quay.io', '--url', 'https://hub.example')).stdout);
  t.match(other, { url: 'https://hub.example', upstreams: ['quay.io'] });
  const unknown = JSON.parse((await setup('--upstream', 'quay.io')).stdout);
  t.match(unknown.notes[0], "hubcap's configuration does not have quay.io: add it under upstreams.");

  writeFileSync(config, 'listen: :5000\n');
  const everywhere = JSON.parse((await setup()).stdout);
  t.equal(everywhere.url, 'http://127.0.0.1:5000');
  t.match(everywhere.notes[0], /listens on all interfaces.*--url http:\/\/ADDRESS:5000/);

  writeFileSync(config, 'listen: "[::1]:5000"\n');
  t.equal(JSON.parse((await setup()).stdout).url, 'http://[::1]:5000');

  writeFileSync(config, 'listen: 127.0.0.1:0\n');
  t.match(await setup(), { code: 2, stderr: /name its address with --url/ });
  writeFileSync(config, 'lisen: x\n');
  t.match(await setup(), { code: 2, stderr: /lisen/ });
  t.match(await setup(...url, ...hub), { code: 0 }, 'it is not needed where all is said');
});

t.test('the environment counts as for serve', async (t) => {
  const { stdout } = await runWith({ env: { HUBCAP_LISTEN: '127.0.0.1:7777' } }, 'setup', 'kaniko');
  t.match(stdout, '--registry-mirror=127.0.0.1:7777 --insecure-registry=127.0.0.1:7777');
});

t.test('an address that clients cannot use is refused', async (t) => {
  const refused: [text: string, message: RegExp][] = [
    ['10.0.0.5:5000', /^--url.*: expected the address by which clients reach hubcap/],
    ['ftp://a', /^--url ftp:\/\/a: expected the address/],
    ['http://a/v2', /with nothing behind the port/],
    ['http://a/?x=1', /with nothing behind the port/],
    ['http://a/#', /with nothing behind the port/],
    ['http://a:0', /^--url http:\/\/a:0/],
    ['http://someone@a', /must not have a login/],
  ];
  for (const [text, message] of refused) t.throws(() => parseOrigin(text), { message }, text);
  t.equal(parseOrigin('HTTPS://Mirror.example/').origin, 'https://mirror.example');
  for (const text of ['library', 'https://ghcr.io', 'ghcr.io/a', ''])
    t.throws(() => parseUpstream(text), { message: /name a registry as images do/ }, text);
  t.equal(parseUpstream('GHCR.io'), 'ghcr.io');
});

t.test('what is no command is refused with 2', async (t) => {
  const refusals: [args: string[], message: RegExp][] = [
    [['dokcer'], /Given: "dokcer", Choices: "docker"/],
    [['docker', '--url', 'http://a/v2'], /with nothing behind the port/],
    [['docker', '--url', 'http://a', '--url', 'http://b'], /say it once/],
    [['docker', ...url, '--write', '--undo'], /mutually exclusive/],
    [['docker', ...url, '--dry-run'], /--dry-run is for --write or --undo/],
    [['docker', ...url, ...hub, '--write', '--root', '/nonexistent'], /--root \/nonexistent is no directory/],
    [
      ['kaniko', ...url, ...hub, '--write'],
      /kaniko has no file to write to: give these flags to its executor: --registry-mirror=127\.0\.0\.1:5000 --insecure-registry=127\.0\.0\.1:5000/,
    ],
  ];
  for (const [args, message] of refusals)
    t.match(await runHere('setup', ...args), { code: 2, stdout: '', stderr: message }, args.join(' '));
});

t.test('a login in the address is refused, and not shown', async (t) => {
  const { code, stderr } = await run('setup', 'docker', '--url', 'http://someone:secret@a:5000');
  t.equal(code, 2);
  t.match(stderr, 'must not have a login');
  t.notMatch(stderr, 'secret');
});

t.test('write, again, undo, again', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{\n  "debug": true\n}\n' });
  const setup = async (...args: string[]) =>
    await runHere('setup', 'docker', ...url, ...hub, '--root', root.path, ...args);
  const dry = await setup('--write', '--dry-run');
  t.match(dry, {
    code: 0,
    stdout:
      /daemon\.json: would be changed\n {2}\{\n- {3}"debug": true\n\+ {3}"debug": true,\n\+ {3}"registry-mirrors"/,
  });
  t.strictSame(Object.keys(root.all()), [DAEMON_JSON], 'nothing was done');
  const first = await setup('--write');
  t.match(first, {
    code: 0,
    stdout:
      '/etc/docker/daemon.json: changed; what it was is kept in /etc/docker/daemon.json.before-hubcap\nthen: systemctl reload docker\n',
  });
  const written = root.all();
  t.match(await setup('--write'), {
    code: 0,
    stdout: 'nothing is to be changed\n/etc/docker/daemon.json: unchanged\n',
  });
  t.strictSame(root.all(), written);
  t.match(await setup('--undo'), {
    code: 0,
    stdout: '/etc/docker/daemon.json: restored\nthen: systemctl reload docker\n',
  });
  t.strictSame(root.all(), { [DAEMON_JSON]: '{\n  "debug": true\n}\n' });
  t.match(await setup('--undo'), {
    code: 0,
    stdout: 'nothing of hubcap at http://127.0.0.1:5000 is there\n',
  });
});

t.test('what --dry-run shows around a change has no secrets in it', async (t) => {
  const texts: Record<string, [path: string, text: string]> = {
    k3s: [
      '/etc/rancher/k3s/registries.yaml',
      'configs:\n  a:\n    auth:\n      password: hunter2\n      identity_token: "hunter2"\n',
    ],
    docker: [
      DAEMON_JSON,
      '{\n  "proxies": {\n    "http-proxy": "http://someone:hunter2@proxy:1"\n  },\n  "registry-mirrors": []\n}\n',
    ],
    containerd: [
      '/etc/containerd/certs.d/docker.io/hosts.toml',
      '[host."https://a".header]\nAuthorization = "Basic hunter2"\n',
    ],
  };
  for (const [client, [path, text]] of Object.entries(texts)) {
    const root = makeRoot(t, { [path]: text });
    const flags = [...url, ...hub, '--root', root.path, '--write', '--dry-run'];
    const { code, stdout } = await runHere('setup', client, ...flags);
    t.equal(code, 0);
    t.match(stdout, '***', client);
    t.notMatch(stdout, 'hunter2', client);
  }
});

t.test('as JSON', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  const setup = async (...args: string[]) =>
    JSON.parse((await runHere('setup', 'docker', ...url, '--json', '--root', root.path, ...args)).stdout);
  const file = { path: DAEMON_JSON, result: 'changed', backup: `${DAEMON_JSON}.before-hubcap` };
  const { notes, ...made } = await setup('--write');
  t.strictSame(made, {
    client: 'docker',
    action: 'write',
    reload: 'systemctl reload docker',
    dryRun: false,
    url: 'http://127.0.0.1:5000',
    upstreams: ['docker.io'],
    files: [file],
  });
  t.ok(notes.length > 0);
  t.match(await setup('--write'), { files: [{ result: 'unchanged', backup: null }], reload: null });
  t.match(await setup('--undo'), { action: 'undo', files: [{ path: DAEMON_JSON, result: 'restored' }] });
});

t.test('undo finds what was written, whatever the configuration says by now', async (t) => {
  const root = makeRoot(t);
  const to = [...url, '--root', root.path];
  for (const client of ['containerd', 'podman']) {
    await runHere('setup', client, ...to, ...hub, '--upstream', 'ghcr.io', '--write');
    t.ok(Object.keys(root.all()).length > 0);
    t.match(await runHere('setup', client, ...to, '--undo'), { code: 0 });
    t.strictSame(root.all(), {}, client);
  }
});

t.test('what is not understood is shown with its place, and ends with 1', async (t) => {
  const text = '{\n  "debug": true,\n}\n';
  const root = makeRoot(t, { [DAEMON_JSON]: text });
  const { code, stdout, stderr } = await runHere(
    'setup',
    'docker',
    ...url,
    ...hub,
    '--write',
    '--root',
    root.path,
  );
  t.match(
    { code, stdout, stderr },
    { code: 1, stdout: '', stderr: 'hubcap: /etc/docker/daemon.json:3:1: it is no JSON: ' },
  );
  t.match(stderr, 'Nothing was changed.');
  t.notMatch(stderr, ' at ');
  t.strictSame(root.all(), { [DAEMON_JSON]: text });
});

t.test('who may not write is told how', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  chmodSync(root.path, 0o755);
  const nobody = { uid: 65_534, gid: 65_534 };
  const args = [MAIN, 'setup', 'docker', ...url, ...hub, '--write', '--root', root.path];
  const { status, stderr } = spawnSync(process.execPath, args, {
    ...nobody,
    env: { PATH: process.env.PATH, HOME: '/nonexistent' },
    encoding: 'utf8',
  });
  t.equal(status, 1);
  t.match(stderr, /daemon\.json\S* cannot be written: permission denied\. Run this as root \(sudo\)/);
  t.strictSame(root.all(), { [DAEMON_JSON]: '{}' });
});

t.test('help has examples', async (t) => {
  const { code, stdout } = await runHere('setup', '--help');
  t.equal(code, 0);
  t.match(stdout, 'sudo hubcap setup docker --write');
  t.match(stdout, /--undo\s+take it out of them again/);
});
