/** Files below a root are replaced as a whole, and stay whose and what they were. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { type Change, changesToUndo, changesToWrite } from '../../src/clients/changes.ts';
import { type FileClient, findMirrored, planFor, planUndo } from '../../src/clients/plan.ts';
import { RootFiles } from '../../src/clients/root-files.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makeRoot, type Root } from '../helpers/setup-root.ts';
import { fillUp, mountSmall } from '../helpers/small-disk.ts';

const url = new URL('http://127.0.0.1:5000');
const DAEMON_JSON = '/etc/docker/daemon.json';
const isRoot = process.getuid?.() === 0;

function write({ path }: Root, client: FileClient): Change[] {
  const files = new RootFiles(path);
  const changes = changesToWrite(planFor(client, { url, upstreams: ['docker.io'] }, files).edits, files);
  for (const change of changes) files.apply(change);
  return changes;
}

function undo({ path }: Root, client: FileClient): void {
  const files = new RootFiles(path);
  const wish = { url, upstreams: findMirrored(client, url, files) };
  for (const change of changesToUndo(planUndo(client, wish, files).edits, files)) files.apply(change);
}

t.test('the mode and the owner stay, of the file and of its copy', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{"debug": true}' });
  const file = join(root.path, DAEMON_JSON);
  chmodSync(file, 0o640);
  if (isRoot) chownSync(file, 12, 34);
  const owner = ({ mode, uid, gid } = statSync(file)) => ({ mode: mode & 0o7777, uid, gid });
  const before = owner();
  t.equal(before.mode, 0o640);
  write(root, 'docker');
  t.strictSame(owner(statSync(file)), before);
  t.strictSame(owner(statSync(`${file}.before-hubcap`)), before, 'a secret in it is read by nobody else');
  undo(root, 'docker');
  t.strictSame(owner(statSync(file)), before);
  t.strictSame(root.all(), { [DAEMON_JSON]: '{"debug": true}' });
});

t.test('a new file and its directories can be read by everyone, whatever the umask', async (t) => {
  const root = makeRoot(t);
  const umask = process.umask(0o077);
  t.teardown(() => process.umask(umask));
  write(root, 'podman');
  const mode = (path: string) => statSync(join(root.path, path)).mode & 0o777;
  t.equal(mode('/etc/containers/registries.conf.d/50-hubcap.conf'), 0o644);
  t.equal(mode('/etc/containers/registries.conf.d'), 0o755);
});

t.test('a byte order mark stays', async (t) => {
  const text = '\ufeff{"debug": true}';
  const root = makeRoot(t, { [DAEMON_JSON]: text });
  write(root, 'docker');
  t.match(root.get(DAEMON_JSON), /^\ufeff\{"debug": true, "registry-mirrors"/);
  t.strictSame(
    write(root, 'docker').map(({ kind }) => kind),
    ['unchanged'],
  );
  undo(root, 'docker');
  t.strictSame(root.all(), { [DAEMON_JSON]: text });
});

t.test('a symbolic link stays one, and what it leads to is changed', async (t) => {
  const root = makeRoot(t, { '/usr/share/docker.json': '{}' });
  mkdirSync(join(root.path, '/etc/docker'), { recursive: true });
  symlinkSync('../../usr/share/docker.json', join(root.path, DAEMON_JSON));
  write(root, 'docker');
  t.ok(lstatSync(join(root.path, DAEMON_JSON)).isSymbolicLink());
  t.match(root.get('/usr/share/docker.json'), 'registry-mirrors');
  undo(root, 'docker');
  t.ok(lstatSync(join(root.path, DAEMON_JSON)).isSymbolicLink());
  t.strictSame(root.all(), { '/usr/share/docker.json': '{}' });
});

t.test('a link out of the root, or to nothing, is refused', async (t) => {
  const outside = makeRoot(t, { '/daemon.json': '{}' });
  for (const [target, message] of [
    [join(outside.path, 'daemon.json'), /daemon\.json: it is a symbolic link out of /],
    ['/nonexistent/daemon.json', /daemon\.json: it is a symbolic link to nothing/],
  ] as const) {
    const root = makeRoot(t);
    mkdirSync(join(root.path, '/etc/docker'), { recursive: true });
    symlinkSync(target, join(root.path, DAEMON_JSON));
    t.throws(() => write(root, 'docker'), { name: 'UneditableError', message });
  }
  t.strictSame(outside.all(), { '/daemon.json': '{}' });
});

t.test('nothing is written out of the root, whatever leads there', async (t) => {
  const outside = makeRoot(t);
  const link = (path: string): Root => {
    const root = makeRoot(t);
    mkdirSync(join(root.path, dirname(path)), { recursive: true });
    symlinkSync(outside.path, join(root.path, path));
    return root;
  };
  const message = /it is a symbolic link out of /;
  t.throws(() => write(link('/etc/docker'), 'docker'), { name: 'UneditableError', message });
  t.throws(() => write(link('/etc'), 'buildkit'), { name: 'UneditableError', message });
  t.throws(() => write(link('/etc/containerd/certs.d'), 'containerd'), { name: 'UneditableError', message });
  t.throws(() => write(link('/etc/containers/registries.conf.d'), 'podman'), { message });
  t.strictSame(readdirSync(outside.path), []);
  const root = makeRoot(t, {
    '/etc/containerd/config.toml': `version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/../..${outside.path}"\n`,
  });
  write(root, 'containerd');
  t.strictSame(readdirSync(outside.path), [], 'the root is where `..` ends');
  t.ok(existsAt(root, `${outside.path}/docker.io/hosts.toml`));
});

t.test('what was changed since it was read is not written over', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  const files = new RootFiles(root.path);
  const plan = () => changesToWrite(planFor('docker', { url, upstreams: ['docker.io'] }, files).edits, files);
  const [late] = plan();
  root.put(DAEMON_JSON, '{"debug": true}');
  const refused = { name: 'UneditableError', message: /changed meanwhile: run this again/ };
  t.throws(() => late && files.apply(late), refused);
  t.strictSame(root.all(), { [DAEMON_JSON]: '{"debug": true}' }, 'no copy either');
  write(root, 'docker');
  const [undoing] = changesToUndo(planUndo('docker', { url, upstreams: ['docker.io'] }, files).edits, files);
  t.equal(undoing?.kind, 'restored');
  root.put(`${DAEMON_JSON}.before-hubcap`, '');
  t.throws(() => undoing && files.apply(undoing), { message: /copy from before was changed meanwhile/ });
  t.match(root.get(DAEMON_JSON), '"debug": true', 'an empty copy does not take its place');
});

t.test('many at the same time: whoever reads has a whole file, and nothing of it is lost', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{"debug": true}' });
  const module = (name: string): string => new URL(`../../src/clients/${name}.ts`, import.meta.url).href;
  const script = `
    import { changesToUndo, changesToWrite } from '${module('changes')}';
    import { planFor, planUndo } from '${module('plan')}';
    import { RootFiles } from '${module('root-files')}';
    const [root, port] = process.argv.slice(1);
    const files = new RootFiles(root);
    const wish = { url: new URL('http://127.0.0.1:' + port), upstreams: ['docker.io'] };
    for (let round = 0; round < 60; round += 1)
      try {
        for (const change of changesToWrite(planFor('docker', wish, files).edits, files)) files.apply(change);
        for (const change of changesToUndo(planUndo('docker', wish, files).edits, files)) files.apply(change);
      } catch (error) {
        if (error.name !== 'UneditableError' || !/meanwhile/.test(error.message)) throw error;
      }`;
  const runs = [5001, 5002, 5003].map((port) =>
    spawn(process.execPath, ['--input-type=module', '-e', script, root.path, String(port)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  let running = runs.length;
  const ends = runs.map(async (child) => {
    const [code] = await once(child, 'exit');
    running -= 1;
    t.equal(code, 0);
  });
  let broken: string | undefined;
  for (; running > 0 && broken === undefined; await setImmediate()) {
    const text = root.get(DAEMON_JSON) ?? '';
    if (!/^\{"debug": true.*\}$/s.test(text)) broken = text;
  }
  await Promise.all(ends);
  t.equal(broken, undefined);
  t.strictSame(
    Object.keys(root.all()).filter((name) => name.includes('partial')),
    [],
  );
});

for (const [what, fill, message] of [
  ['full', fillUp, /daemon\.json\S* cannot be written: the file system is full/],
  ['read-only', remountReadOnly, /daemon\.json\S* cannot be written: the file system is read-only/],
] as const)
  t.test(`a file system that is ${what}: the file is what it was`, async (t) => {
    if (!needs(t, 'root', 'mount')) return;
    const text = JSON.stringify({ labels: ['x'.repeat(10_000)] });
    const path = await mountSmall(t, 1);
    const file = join(path, DAEMON_JSON);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    await fill(path);
    const root = { path } as Root;
    t.throws(() => write(root, 'docker'), { name: 'FileError', message });
    t.equal(readFileSync(file, 'utf8'), text);
    t.strictSame(readdirSync(dirname(file)), ['daemon.json'], 'nothing is left beside it');
  });

async function remountReadOnly(directory: string): Promise<void> {
  execFileSync('mount', ['-o', 'remount,ro', directory]);
}

t.test('a file that is nested without an end, or refers to itself, is refused in words', async (t) => {
  const aliases = [
    'a: &a [x]',
    ...[...'bcdefgh'].map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[at]}`)}]`),
  ];
  const cases: [FileClient, string, string][] = [
    ['docker', DAEMON_JSON, '['.repeat(100_000)],
    ['podman', '/etc/containers/registries.conf', `a=${'['.repeat(50_000)}${']'.repeat(50_000)}`],
    ['k3s', '/etc/rancher/k3s/registries.yaml', aliases.join('\n')],
  ];
  for (const [client, path, text] of cases)
    t.throws(
      () => write(makeRoot(t, { [path]: text }), client),
      { name: 'UneditableError', message: path },
      client,
    );
});

t.test('a link in a circle is told as one', async (t) => {
  const root = makeRoot(t);
  mkdirSync(join(root.path, '/etc/docker'), { recursive: true });
  symlinkSync('daemon.json', join(root.path, DAEMON_JSON));
  t.throws(() => write(root, 'docker'), { name: 'FileError', message: /links lead in a circle/ });
});

t.test('what is no file, or no text, is refused', async (t) => {
  const directory = makeRoot(t, { [`${DAEMON_JSON}/x`]: '' });
  t.throws(() => write(directory, 'docker'), {
    name: 'UneditableError',
    message: /daemon\.json: it is no file/,
  });
  const binary = makeRoot(t);
  binary.put(DAEMON_JSON, Buffer.from([0x7b, 0xff, 0x7d]));
  t.throws(() => write(binary, 'docker'), { name: 'UneditableError', message: /it is no text in UTF-8/ });
  t.strictSame(readFileSync(join(binary.path, DAEMON_JSON)), Buffer.from([0x7b, 0xff, 0x7d]));
  const large = makeRoot(t);
  large.put(DAEMON_JSON, Buffer.alloc(4 * 1024 * 1024 + 1, ' '));
  t.throws(() => write(large, 'docker'), { name: 'UneditableError', message: /larger than 4 MiB/ });
});

t.test('where a directory is wanted and a file is, nothing is said to be done', async (t) => {
  const root = makeRoot(t, { '/etc/docker': 'a file' });
  t.throws(() => write(root, 'docker'), /ENOTDIR|EEXIST/);
  t.strictSame(root.all(), { '/etc/docker': 'a file' });
});

t.test('the directory of a hosts.toml is gone with it where it is empty then', async (t) => {
  const root = makeRoot(t, { '/etc/containerd/certs.d/docker.io/ca.crt': 'x' });
  write(root, 'containerd');
  undo(root, 'containerd');
  t.strictSame(root.all(), { '/etc/containerd/certs.d/docker.io/ca.crt': 'x' });
  const other = makeRoot(t);
  write(other, 'containerd');
  undo(other, 'containerd');
  t.notOk(existsAt(other, '/etc/containerd/certs.d/docker.io'));
});

function existsAt({ path }: Root, name: string): boolean {
  return statSync(join(path, name), { throwIfNoEntry: false }) !== undefined;
}

t.test(
  'a file that may not be changed is left as it is, and nothing is left beside it',
  { skip: !isRoot && 'needs root' },
  async (t) => {
    const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
    const file = join(root.path, DAEMON_JSON);
    const immutable = (flag: string) => {
      try {
        execFileSync('chattr', [flag, file], { stdio: 'ignore' });
        return true;
      } catch {
        return false; // the file system has no such thing, or the program is missing
      }
    };
    if (!immutable('+i')) return t.plan(0, 'needs chattr');
    t.teardown(() => immutable('-i'));
    t.throws(() => write(root, 'docker'), {
      name: 'FileError',
      message: /daemon\.json cannot be written: permission denied\. Run this as root/,
    });
    t.equal(root.get(DAEMON_JSON), '{}');
    const partials = Object.keys(root.all()).filter((name) => name.includes('.hubcap-partial'));
    t.strictSame(partials, []);
  },
);

t.test('what a killed run left is not in the way', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  const partial = join(root.path, `${DAEMON_JSON}.4194305.hubcap-partial`); // more than there are
  writeFileSync(partial, 'half');
  write(root, 'docker');
  t.match(root.get(DAEMON_JSON), 'registry-mirrors');
  t.strictSame(Object.keys(root.all()), [DAEMON_JSON, `${DAEMON_JSON}.before-hubcap`]);
});
