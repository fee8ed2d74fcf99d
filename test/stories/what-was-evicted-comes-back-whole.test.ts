import t from 'tap';
import { blobOf, type Content, imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const path = ({ digest }: Content): string => `/v2/team/app/blobs/${digest}`;
const latest = '/v2/team/app/manifests/latest';

t.test('evicted and filled again, a blob is served offline after a restart', async (t) => {
  const contents = ['a', 'b', 'c'].map((seed) => blobOf(2 * MIB, seed)) as [Content, Content, Content];
  const registry = await startRegistry(t);
  for (const content of contents) registry.push('team/app', content);
  const upstreams = { 'registry.test': { at: registry } };
  const maxBytes = 4 * MIB;
  const online = await startMirror(t, { upstreams, maxBytes });
  const [a] = contents;
  for (const content of [...contents, a]) {
    const { headers } = await online.get(path(content));
    t.equal(headers['cache-status'], 'hubcap; fwd=miss; stored');
    await online.settled();
  }
  t.equal(registry.count('GET', a.digest), 2, 'it was evicted in between');
  const { directory } = online;
  await online.close();

  const mirror = await startMirror(t, { upstreams, maxBytes, directory, offline: true });
  const received = await mirror.get(path(a));
  t.equal(received.status, 200);
  t.ok(received.body.equals(a.body));
});

t.test('evicted while it is in memory, a manifest is stored again when its tag is confirmed', async (t) => {
  const image = imageOf('kept in memory', [2 * MIB, 2 * MIB]);
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0 } };
  const maxBytes = 4 * MIB;
  const online = await startMirror(t, { upstreams, maxBytes });
  t.equal((await online.manifest(latest)).status, 200);
  for (const layer of image.layers) {
    await online.get(path(layer));
    await online.settled();
  }
  t.equal(await online.metric('hubcap_evictions_total', 'budget'), 1, 'the manifest had to go');
  const confirmed = await online.manifest(latest);
  t.equal(confirmed.status, 200);
  t.equal(registry.count('GET', '/manifests/'), 1, 'it came out of memory');
  const { directory } = online;
  await online.close();

  const mirror = await startMirror(t, { upstreams, maxBytes, directory, offline: true });
  const received = await mirror.manifest(latest);
  t.equal(received.status, 200);
  t.ok(received.body.equals(image.manifest.body));
});
