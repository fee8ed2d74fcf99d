/** registry.k8s.io answers no manifest itself: it sends each request to a registry in the client's region. */
import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { failing, manifests, only } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';

const image = imageOf('app', [1000]);

function sendingTo(other: Registry): Persona {
  return ({ url }) => ({ status: 307, headers: { location: `${other.url}${url}` } });
}

async function start(t: Parameters<typeof startRegistry>[0]) {
  const [front, regional] = [await startRegistry(t), await startRegistry(t)];
  regional.push('pause', image, '3.9');
  front.act(sendingTo(regional));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: front, tagTtlMs: 0 } } });
  return { front, regional, mirror };
}

t.test('its images are served, and confirmed there', async (t) => {
  const { regional, mirror } = await start(t);
  t.equal((await mirror.manifest('/v2/pause/manifests/3.9')).status, 200);
  t.match((await mirror.manifest('/v2/pause/manifests/3.9')).headers, { 'cache-status': /revalidated/ });
  t.same((await mirror.get(`/v2/pause/blobs/${image.layers[0]?.digest}`)).body, image.layers[0]?.body);
  t.equal(regional.count('HEAD', '/manifests/3.9'), 1);
});

t.test('a tag that the other does not have is absent', async (t) => {
  const { mirror } = await start(t);
  const missing = await mirror.manifest('/v2/pause/manifests/none');
  t.equal(missing.status, 404);
  t.equal(ociErrorOf(missing).code, 'MANIFEST_UNKNOWN');
});

t.test('a 404 that no registry gives is trouble', async (t) => {
  const { regional, mirror } = await start(t);
  regional.act(only(manifests, failing(404, { 'content-type': 'text/html' })));
  t.equal((await mirror.manifest('/v2/pause/manifests/3.9')).status, 502);
});
