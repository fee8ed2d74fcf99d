import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { blobOf, type Content, type Image, imageOf, KIB, MIB } from '../helpers/content.ts';
import { type MirrorSettings, startMirror } from '../helpers/mirror.ts';
import { failing } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

async function start(t: Parameters<typeof startRegistry>[0], settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, ...settings });
  const pull = async ({ digest, body }: Content): Promise<string> => {
    const got = await mirror.get(`/v2/team/app/blobs/${digest}`);
    t.equal(got.status, 200);
    t.ok(got.isComplete && got.body.equals(body), 'the right bytes');
    await mirror.settled();
    return String(got.headers['cache-status']);
  };
  return { registry, mirror, pull };
}

t.test('sizes around the edges, cold and warm', async (t) => {
  const { registry, mirror, pull } = await start(t);
  for (const bytes of [0, 1, 4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB, 256 * KIB + 1]) {
    const blob = blobOf(bytes, `of ${bytes}`);
    registry.push('team/app', blob);
    t.equal(await pull(blob), 'hubcap; fwd=miss; stored', `${bytes} bytes`);
    t.equal(await pull(blob), 'hubcap; hit');
  }
  const empty = blobOf(0, '');
  const headers = { range: 'bytes=0-' };
  t.equal((await mirror.get(`/v2/team/app/blobs/${empty.digest}`, { headers })).status, 416);
});

t.test('sha512', async (t) => {
  const { registry, mirror, pull } = await start(t);
  const { body } = blobOf(100_000, 'sha512');
  const blob = { body, digest: digestOf(body, 'sha512') };
  registry.push('team/app', blob);
  t.equal(await pull(blob), 'hubcap; fwd=miss; stored');
  t.equal(await pull(blob), 'hubcap; hit');
  const image = imageOf('sha512', [10]);
  const manifest = { ...image.manifest, digest: digestOf(image.manifest.body, 'sha512') };
  registry.push('team/app', { ...image, manifest });
  const path = `/v2/team/app/manifests/${manifest.digest}`;
  for (let n = 0; n < 2; n++) {
    const got = await mirror.manifest(path);
    t.ok(got.body.equals(manifest.body));
    t.equal(got.headers['docker-content-digest'], manifest.digest, 'by the digest that was asked for');
  }
  t.equal(registry.count('GET', '/manifests/'), 1);
});

/** The same image, whose manifest gives its layer another size. */
function lying(image: Image, size: number): Image {
  const layer = image.layers[0]?.body.length;
  const body = Buffer.from(image.manifest.body.toString().replace(`"size": ${layer}`, `"size": ${size}`));
  return { ...image, manifest: { ...image.manifest, body, digest: digestOf(body) } };
}

for (const [name, size] of [
  ['much more than the budget', 1024 * MIB],
  ['all of the budget', 8 * MIB],
  ['less than there is', 10],
] as const) {
  t.test(`a manifest that gives a layer ${name} does no harm`, async (t) => {
    const { registry, mirror, pull } = await start(t, { maxBytes: 8 * MIB });
    const kept = blobOf(2 * MIB, 'kept');
    registry.push('team/app', kept);
    await pull(kept);
    const image = lying(imageOf('lying', [MIB]), size);
    registry.push('team/app', image, 'latest');
    t.equal((await mirror.manifest('/v2/team/app/manifests/latest')).status, 200);
    const layer = image.layers[0] ?? kept;
    t.equal(await pull(layer), 'hubcap; fwd=miss; stored', 'the layer is stored like any other');
    t.equal(await pull(kept), 'hubcap; hit', 'and nothing had to go for it');
  });
}

t.test('redirects without end', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act((asked) => ({ status: 307, headers: { location: asked.url } }));
  const got = await mirror.get(`/v2/team/app/blobs/${blobOf(10, 'loop').digest}`);
  t.equal(got.status, 502);
  t.ok(registry.asked.length <= 12, 'are given up soon');
});

t.test('a manifest that is kept elsewhere is followed there, without credentials', async (t) => {
  const { registry, mirror } = await start(t);
  const other = await startRegistry(t);
  const image = imageOf('elsewhere', [1000]);
  other.push('team/app', image, 'latest');
  registry.act(failing(307, { location: `${other.url}/v2/team/app/manifests/latest` }));
  const got = await mirror.manifest('/v2/team/app/manifests/latest');
  t.equal(got.status, 200);
  t.ok(got.body.equals(image.manifest.body));
  t.same(
    other.asked.map(({ headers }) => headers.authorization),
    [undefined],
    'as registry.k8s.io does',
  );
});
