import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const [image, other] = [imageOf('known', [1000, 2000]), imageOf('other', [1000])];
const latest = '/v2/team/app/manifests/latest';
const blobPath = (repository: string, digest = ''): string => `/v2/${repository}/blobs/${digest}`;

t.test('after a restart without upstream: all that was pulled, and an honest no to the rest', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  registry.push('team/other', other, 'latest');
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0 } };
  const online = await startMirror(t, { upstreams });
  await online.manifest(latest);
  await online.get(blobPath('team/app', image.config.digest));
  await online.get(blobPath('team/app', image.layers[0]?.digest));
  await online.get(blobPath('team/other', other.config.digest));
  await online.settled();
  const { directory } = online;
  await online.close();
  const asked = registry.asked.length;

  const mirror = await startMirror(t, { upstreams, directory, offline: true });
  const manifest = await mirror.manifest(latest);
  t.equal(manifest.status, 200);
  t.ok(manifest.body.equals(image.manifest.body));
  t.equal((await mirror.manifest(`/v2/team/app/manifests/${image.manifest.digest}`)).status, 200);
  t.equal((await mirror.head(latest)).status, 200);
  for (const { digest } of [image.config, image.layers[0] ?? image.config])
    t.equal((await mirror.get(blobPath('team/app', digest))).status, 200);
  t.match(JSON.parse((await mirror.get('/v2/team/app/tags/list')).body.toString()), { tags: ['latest'] });

  for (const path of [
    '/v2/team/app/manifests/other',
    '/v2/team/other/manifests/latest',
    blobPath('team/app', image.layers[1]?.digest),
    blobPath('team/app', other.config.digest),
  ]) {
    const unknown = await mirror.manifest(path);
    t.equal(unknown.status, 404);
    t.match(ociErrorOf(unknown).message, 'offline');
  }
  t.equal(registry.asked.length, asked, 'upstream was never asked');
});
