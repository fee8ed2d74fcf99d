/** What `hubcap setup --write` puts into the files of clients is nothing that `hubcap check` has a word against. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Finding } from '../../../src/check/check.ts';
import { checkClients } from '../../../src/check/clients.ts';
import { changesToUndo, changesToWrite } from '../../../src/clients/changes.ts';
import { type FileClient, findMirrored, planFor, planUndo } from '../../../src/clients/plan.ts';
import { RootFiles } from '../../../src/clients/root-files.ts';
import { loadFrom } from '../../config/load-from.ts';
import { hasOpenssl, makeCertificates } from '../../helpers/certificates.ts';
import { makeRoot, type Root } from '../../helpers/setup-root.ts';

const clients: FileClient[] = ['docker', 'containerd', 'podman', 'crio', 'buildkit', 'k3s'];
const chosen = [['docker.io', 'ghcr.io', 'registry.example:5000'], ['ghcr.io']];

const asHubcap: RequestListener = (_, response) => response.setHeader('server', 'hubcap/0').end();

async function listening(t: Test, server: ReturnType<typeof createServer>, host: string): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

function write({ path }: Root, client: FileClient, url: URL, upstreams: string[]): void {
  const files = new RootFiles(path);
  for (const change of changesToWrite(planFor(client, { url, upstreams }, files).edits, files))
    files.apply(change);
}

function undo({ path }: Root, client: FileClient, url: URL): void {
  const files = new RootFiles(path);
  const wish = { url, upstreams: findMirrored(client, url, files) };
  for (const change of changesToUndo(planUndo(client, wish, files).edits, files)) files.apply(change);
}

async function check(t: Test, { path }: Root, { hostname, port }: URL): Promise<Finding[]> {
  const upstreams = { 'ghcr.io': {}, 'registry.example:5000': {} };
  const yaml = JSON.stringify({ listen: `${hostname}:${port}`, upstreams });
  return await checkClients({
    ...{ root: path, home: undefined, dockerSocket: join(path, 'away') },
    config: loadFrom(t.testdirName, { yaml }),
    signal: AbortSignal.timeout(20_000),
  });
}

async function holds(t: Test, url: URL, certificate?: string): Promise<void> {
  if (certificate === undefined) t.testdir();
  const trusted =
    certificate === undefined ? {} : { [`/etc/docker/certs.d/${url.host}/ca.crt`]: certificate };
  for (const upstreams of chosen)
    for (const some of [...clients.map((client) => [client]), clients]) {
      const what = `${some.join(', ')} for ${upstreams.join(', ')}`;
      const root = makeRoot(t, trusted);
      for (const client of some) write(root, client, url, upstreams);
      const found = await check(t, root, url);
      t.strictSame(
        found.filter(({ status }) => status === 'failed' || status === 'warning'),
        [],
        what,
      );
      for (const client of some) {
        if (client === 'docker' && !upstreams.includes('docker.io')) continue; // check looks at daemon.json
        const id = `${client === 'crio' ? 'podman' : client}.mirror`;
        t.ok(
          found.some((finding) => finding.id === id),
          `${what}: ${id} was tried`,
        );
      }
      for (const client of some) undo(root, client, url);
      t.strictSame(root.all(), trusted, `${what}: undone`);
      t.match(await check(t, root, url), [{ id: 'clients.none' }]);
    }
}

t.test('plain HTTP on the loopback', async (t) => {
  const port = await listening(t, createServer(asHubcap), '127.0.0.1');
  await holds(t, new URL(`http://127.0.0.1:${port}`));
});

t.test('plain HTTP at an IPv6 address', async (t) => {
  if (networkInterfaces().lo?.some(({ family }) => family === 'IPv6') !== true)
    return t.plan(0, 'needs IPv6');
  await holds(t, new URL(`http://[::1]:${await listening(t, createServer(asHubcap), '::1')}`));
});

t.test('plain HTTP at another address than the loopback', async (t) => {
  const all = Object.values(networkInterfaces()).flat();
  const address = all.find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  if (address === undefined) return t.plan(0, 'needs an address beside loopback');
  await holds(t, new URL(`http://${address}:${await listening(t, createServer(asHubcap), address)}`));
});

t.test('TLS with a certificate that the machine is told of', async (t) => {
  if (!hasOpenssl) return t.plan(0, 'needs openssl');
  const { ca, server } = makeCertificates(t.testdir());
  const port = await listening(t, createSecureServer(server, asHubcap), '127.0.0.1');
  await holds(t, new URL(`https://127.0.0.1:${port}`), ca.cert);
});
