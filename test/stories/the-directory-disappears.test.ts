import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fetch } from '../helpers/client.ts';
import { type Content, imageOf, MIB } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const image = imageOf('app', [MIB, 2 * MIB]);
const [first, second] = image.layers as [Content, Content];
const MANIFEST = '/v2/team/app/manifests/latest';

async function startPulled(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const directory = join(await makeDirectory(t), 'data');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, directory });
  const pull = async ({ digest, body }: Content): Promise<string | undefined> => {
    const received = await mirror.get(`/v2/team/app/blobs/${digest}`);
    t.ok(received.isComplete && received.body.equals(body), 'complete and right');
    await mirror.settled();
    return received.headers['cache-status']?.toString();
  };
  await mirror.manifest(MANIFEST);
  await pull(first);
  t.equal(await mirror.ready(), 200);
  return { registry, mirror, directory, pull };
}

for (const [name, take] of [
  ['removed', (directory: string) => rm(directory, { recursive: true })],
  ['moved away', (directory: string) => rename(directory, `${directory}-elsewhere`)],
] as const) {
  t.test(`${name}: clients are served, /readyz says so, and content is cached again`, async (t) => {
    const { registry, mirror, directory, pull } = await startPulled(t);
    await take(directory);
    await pull(first);
    await pull(second);
    const ready = await fetch(`${mirror.admin}/readyz`);
    t.equal(ready.status, 503);
    t.match(ready.body.toString(), /was removed while hubcap ran: restart hubcap/);
    t.ok(existsSync(join(directory, 'v1', 'blobs')), 'its directories are there again');
    await pull(first);
    t.equal(await pull(first), 'hubcap; hit');
    t.equal((await mirror.manifest(MANIFEST)).status, 200);
    t.equal(await mirror.ready(), 503, 'until it is started again');

    await mirror.close();
    const next = await startMirror(t, {
      upstreams: { 'registry.test': { at: registry } },
      directory,
      offline: true,
    });
    t.equal(await next.ready(), 200);
    const { headers } = await next.get(`/v2/team/app/blobs/${first.digest}`);
    t.equal(headers['cache-status'], 'hubcap; hit', 'that the repository holds it was not forgotten');
  });
}

t.test('another directory in its place is noticed', async (t) => {
  const { mirror, directory, pull } = await startPulled(t);
  await rename(directory, `${directory}-elsewhere`);
  await mkdir(directory);
  const other = await startMirror(t, {
    upstreams: { 'registry.test': { at: new URL('http://127.0.0.1:9') } },
    directory,
  });
  await pull(second);
  const ready = await fetch(`${mirror.admin}/readyz`);
  t.equal(ready.status, 503);
  t.match(ready.body.toString(), /was replaced while hubcap ran: restart hubcap/);
  await mirror.close();
  t.equal(await other.ready(), 200, 'the other one keeps what is its own');
});
