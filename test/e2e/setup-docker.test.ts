/** A real dockerd takes what `hubcap setup docker --write` wrote, and pulls through hubcap. */

import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { commandsOf } from '../helpers/engines/commands.ts';
import { type Docker, dockerNeeds, startDockerd } from '../helpers/engines/dockerd.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';
import { makeRoot } from '../helpers/setup-root.ts';

const DAEMON_JSON = '/etc/docker/daemon.json';
const existing = '{\n\t"log-level" : "info",\n\t"registry-mirrors": [ "http://127.0.0.1:9" ]\n}\n';
const layers = [{ seed: 'base', bytes: 1_000_000 }];

t.test(
  'dockerd pulls through hubcap with the daemon.json that setup wrote, and undo restores the file',
  async (t) => {
    if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const { run } = commandsOf(t, stack.hubcap);
    const root = makeRoot(t, { [DAEMON_JSON]: existing });
    const setup = (...flags: string[]) =>
      run('setup', 'docker', '--url', stack.hubcap.url, '--root', root.path, ...flags);
    await setup('--write');
    const engine = await startDockerd(t, root.get(DAEMON_JSON) ?? '');
    const mirrors = JSON.parse(await engine.docker('info', '--format', '{{json .RegistryConfig.Mirrors}}'));
    t.strictSame(
      mirrors,
      [`${stack.hubcap.url}/`, 'http://127.0.0.1:9/'],
      'hubcap comes before the mirror that was there',
    );
    const image = await stack.push('library/hubcap-app', { format: 'docker', tag: '1', layers });
    const first = await stack.cost(() => engine.docker('pull', 'hubcap-app:1'));
    t.strictSame(byDigest(first, image), onePull('library/hubcap-app', image));
    await engine.docker('image', 'rm', 'hubcap-app:1');
    t.strictSame(
      await stack.cost(() => engine.docker('pull', 'hubcap-app:1')),
      nothing,
      'it came from the store',
    );
    t.match(await run('images'), 'hubcap-app:1', "and is in hubcap's books");
    await setup('--undo');
    t.strictSame(root.all(), { [DAEMON_JSON]: existing });
  },
);

t.test('what setup writes for plain HTTP beside the loopback is used by docker build, too', async (t) => {
  if (!needs(t, ...dockerNeeds, 'tar')) return;
  const address = addressOfMachine();
  if (address === undefined) return t.plan(0, 'needs an address beside loopback');
  const mirror = await startMirror(t, address);
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  const { run } = commandsOf(t, { dataDirectory: root.path });
  await run('setup', 'docker', '--url', mirror.url, '--root', root.path, '--write');
  const written = await startDockerd(t, root.get(DAEMON_JSON) ?? '');
  const info = JSON.parse(await written.docker('info', '--format', '{{json .RegistryConfig}}'));
  t.match(info.IndexConfigs[new URL(mirror.url).host], { Secure: false });
  t.ok(info.InsecureRegistryCIDRs.includes('127.0.0.0/8'), 'and on the loopback as before');
  t.not((await written.try('pull', 'alpine')).code, 0, 'nobody has it');
  t.ok(mirror.asked().includes('GET /v2/library/alpine/manifests/latest'), 'pull asks the mirror');
  await buildWith(t, written, 'FROM alpine\n');
  t.strictSame(mirror.asked(), ['HEAD /v2/library/alpine/manifests/latest?ns=docker.io'], 'so does build');
  await written.stop();

  // Debian's 20.10 and all until 23: this is why it is written with its scheme.
  const without = await startDockerd(t, { 'registry-mirrors': [mirror.url] });
  t.not((await without.try('pull', 'alpine')).code, 0);
  t.ok(
    mirror.asked().includes('GET /v2/library/alpine/manifests/latest'),
    'pull needs no more than a mirror',
  );
  await buildWith(t, without, 'FROM alpine\n');
  t.strictSame(mirror.asked(), [], 'build goes past it');
});

function addressOfMachine(): string | undefined {
  const all = Object.values(networkInterfaces()).flat();
  return all.find((one) => one?.family === 'IPv4' && !one.internal)?.address;
}

/** A mirror that has nothing, at an address of this machine: nothing leaves it. */
async function startMirror(t: Test, address: string): Promise<{ url: string; asked(): string[] }> {
  const asked: string[] = [];
  const server = createServer(({ method, url }, response) => {
    asked.push(`${method} ${url}`);
    response.writeHead(404).end();
  });
  server.listen(0, address);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://${address}:${port}`, asked: () => asked.splice(0) };
}

/** As `docker build` does with BuildKit (Engine API, version=2), which not each `docker` has with it. */
async function buildWith(t: Test, { socket }: Docker, dockerfile: string): Promise<void> {
  const directory = await makeDirectory(t, 'build');
  await writeFile(join(directory, 'Dockerfile'), dockerfile);
  await runProgram(t, 'tar', ['-C', directory, '-cf', join(directory, 'context.tar'), 'Dockerfile']);
  const headers = { 'content-type': 'application/x-tar' };
  const call = request({ socketPath: socket, path: '/build?version=2', method: 'POST', headers });
  call.end(await readFile(join(directory, 'context.tar')));
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  t.match(await text(response), /alpine/, 'it came as far as the image');
}
