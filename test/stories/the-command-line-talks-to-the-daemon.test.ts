import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { LISTENERS, run, serve } from '../helpers/command.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

t.test('status and images, of a running daemon and of its directory', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('app', [MIB]);
  registry.push('team/app', image, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  await mirror.manifest('/v2/team/app/manifests/latest');
  for (const { digest } of [image.config, ...image.layers]) await mirror.get(`/v2/team/app/blobs/${digest}`);
  await mirror.settled();
  const data = ['--data', mirror.directory];
  const expected = {
    reference: 'registry.test/team/app:latest',
    digest: image.manifest.digest,
    state: 'complete',
  };
  const [status, images] = await Promise.all([
    run('status', '--json', ...data),
    run('images', '--json', ...data),
  ]);
  t.equal(status.code, 0);
  t.match(JSON.parse(status.stdout), { pid: process.pid, listen: mirror.url, store: { objects: 3 } });
  t.match(JSON.parse(images.stdout), expected);
  const shown = await Promise.all([run('status', ...data), run('images', ...data)]);
  t.match(shown[0].stdout, /running for .*process \d+/);
  t.match(
    shown[0].stdout,
    /served {4}1MiB, 0B of it not fetched for it; nothing was fetched for 0 % of 3 requests/,
  );
  t.match(shown[1].stdout, expected.reference);
  t.match(shown[1].stdout, /LAST USED/);
  t.match(shown[1].stdout, /complete +\d{4}-\d\d-\d\dT\d\d:\d\dZ +single/);
  await mirror.manifest('/v2/team/app/manifests/latest');
  t.match((await run('status', ...data)).stdout, /nothing was fetched for 25 % of 4 requests/);

  await mirror.close();
  // One after the other: in a directory without a daemon, a command has it for itself.
  t.match(JSON.parse((await run('images', '--json', ...data)).stdout), expected);
  t.match((await run('status', ...data)).stdout, 'not running');
});

t.test('a second daemon on one directory is refused, and told of the first', async (t) => {
  const registry = await startRegistry(t);
  const first = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const second = await run('serve', ...LISTENERS, '--data', first.directory);
  t.equal(second.code, 1);
  t.match(second.stderr, `process ${process.pid}, listening on ${first.url}`);
  t.notMatch(second.stderr, /\n\s+at /, 'an explanation, not a stack');
});

t.test('a taken port says who may have it, and how to choose another', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const directory = await makeDirectory(t);
  const { code, stderr } = await run(
    'serve',
    '--admin',
    '127.0.0.1:0',
    '--data',
    directory,
    '--listen',
    address,
  );
  t.equal(code, 1);
  t.match(stderr, `${address} is taken`);
  t.match(stderr, '--listen HOST:PORT');
  t.notMatch(stderr, /\n\s+at /);
});

t.test('serve is ready, serves, stops on SIGTERM, and ends with 0', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('app', [1000]);
  registry.push('library/app', image, 'latest');
  const args = ['--data', await makeDirectory(t), '--upstream', registry.url];
  const { child, ready, exited, output } = await serve(t, args);
  t.match(ready.daemonJson, `{"registry-mirrors":["${ready.listen}"]}`);
  const response = await globalThis.fetch(`${ready.listen}/v2/library/app/manifests/latest`);
  t.equal(response.headers.get('docker-content-digest'), image.manifest.digest);
  await response.arrayBuffer();
  child.kill('SIGTERM');
  t.same(await exited, [0, null]);
  t.match(output(), '"msg":"stopped"');
});

t.test('mistakes on the command line end with 2', async (t) => {
  const ended = await Promise.all([
    run('serve', '--max-sice', '1GiB'),
    run('serve', '--max-size', 'lots'),
    run('frobnicate'),
  ]);
  t.match(ended, [
    { code: 2, stderr: /max-sice/ },
    { code: 2, stderr: /max-size/ },
    { code: 2, stderr: /frobnicate/ },
  ]);
});
