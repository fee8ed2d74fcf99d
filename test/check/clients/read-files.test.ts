/** Files of a machine below a root: nothing out of it is taken for its own, and one that is odd hides no other. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { readClients } from '../../../src/check/clients/read-clients.ts';
import { ClientFiles } from '../../../src/check/clients/read-files.ts';
import { makeRoot } from '../../helpers/setup-root.ts';

const MIRRORED = '{"registry-mirrors": ["http://127.0.0.1:9"]}';

t.test('a link out of the root is not followed, and said', async (t) => {
  const outside = makeRoot(t, { '/daemon.json': MIRRORED, '/ghcr.io/hosts.toml': '[host."http://a"]\n' });
  const root = makeRoot(t);
  const link = (path: string, target: string): void => {
    mkdirSync(join(root.path, dirname(path)), { recursive: true });
    symlinkSync(join(outside.path, target), join(root.path, path));
  };
  link('/etc/docker/daemon.json', 'daemon.json');
  link('/etc/containerd/certs.d', '');
  const { findings, mirrors } = await readClients(new ClientFiles(root.path));
  t.strictSame(mirrors, []);
  t.match(findings, [
    { id: 'clients.unread', status: 'skipped', message: /daemon\.json is a symbolic link out of / },
  ]);
});

t.test('.. in a path that a file names ends at the root', async (t) => {
  const outside = makeRoot(t, { '/more.toml': 'version = 2\n[broken' });
  const root = makeRoot(t, {
    '/etc/containerd/config.toml': `version = 2\nimports = ["/../../../../..${outside.path}/*.toml"]\n`,
  });
  t.strictSame((await readClients(new ClientFiles(root.path))).findings, []);
});

t.test('a file that parsers overflow on is a fault of its own, and the others are looked at', async (t) => {
  const root = makeRoot(t, {
    '/etc/docker/daemon.json': '['.repeat(200_000),
    '/etc/rancher/k3s/registries.yaml': 'mirrors: {docker.io: {endpoint: ["http://127.0.0.1:9"]}}\n',
  });
  const { findings, mirrors } = await readClients(new ClientFiles(root.path));
  t.match(findings, [{ id: 'docker.json', status: 'failed', message: /it is nested too deeply/ }]);
  t.match(mirrors, [{ client: 'k3s' }]);
});
