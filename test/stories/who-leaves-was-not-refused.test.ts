import { request } from 'node:http';
import t from 'tap';
import { blobOf, imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(MIB, 'left');
const paths = ['/v2/team/app/manifests/latest', `/v2/team/app/blobs/${blob.digest}`];

t.test('a client that leaves while upstream is silent is no miss', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('app', [100]), 'latest');
  registry.push('team/app', blob);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(silent(gate.opened));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  for (const [position, path] of paths.entries()) {
    const call = request(mirror.url + path, { agent: false });
    call.on('error', () => undefined); // it is ours: we left
    call.end();
    await until('upstream is asked', () => registry.asked.length > position);
    call.destroy();
    const isAborted = () => mirror.logs.filter((line) => line.includes('"aborted":true')).length > position;
    await until('hubcap has noticed', isAborted);
  }
  t.equal(await mirror.metric('hubcap_misses_total'), 0);
  gate.open();
  registry.act();
  t.equal((await mirror.get('/v2/team/app/manifests/unknown')).status, 404);
  await until('what is refused is counted', async () => (await mirror.metric('hubcap_misses_total')) === 1);
});
