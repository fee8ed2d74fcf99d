/** Files below a root are replaced as a whole, and stay whose and what they were. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Change, changesToUndo, changesToWrite } from '../../src/clients/changes.ts';
import { type FileClient, findMirrored, planFor, planUndo } from '../../src/clients/plan.ts';
import { RootFiles } from '../../src/clients/root-files.ts';
import { makeRoot, type Root } from '../helpers/setup-root.ts';

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
      name: 'PermissionError',
      message: /daemon\.json cannot be written: permission denied\. Run this as root/,
    });
    t.equal(root.get(DAEMON_JSON), '{}');
    const partials = Object.keys(root.all()).filter((name) => name.includes('.hubcap-partial'));
    t.strictSame(partials, []);
  },
);

t.test('what a killed run left is not in the way', async (t) => {
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  writeFileSync(join(root.path, `${DAEMON_JSON}.hubcap-partial`), 'half');
  write(root, 'docker');
  t.match(root.get(DAEMON_JSON), 'registry-mirrors');
  t.strictSame(Object.keys(root.all()), [DAEMON_JSON, `${DAEMON_JSON}.before-hubcap`]);
});
