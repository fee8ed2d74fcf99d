import t from 'tap';
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { startCdn } from '../helpers/cdn.ts';
import { blobOf, imageOf, indexOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { corrupting, redirecting, times } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const [amd64, arm64] = [imageOf('amd64', [100]), imageOf('arm64', [100])];
const index = indexOf({ arm64, amd64 });
const latest = '/v2/team/app/manifests/latest';

async function start(t: Parameters<typeof startRegistry>[0], tagTtlMs = 60_000) {
  const registry = await startRegistry(t);
  registry.push('team/app', index, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, tagTtlMs } } });
  return { registry, mirror };
}

t.test('an index is served byte for byte, with its digest, cold and warm', async (t) => {
  const { mirror } = await start(t);
  for (const outcome of ['hubcap; fwd=miss; stored', 'hubcap; hit']) {
    const { headers, body } = await mirror.manifest(latest);
    t.ok(body.equals(index.manifest.body));
    t.match(headers, {
      'docker-content-digest': index.manifest.digest,
      'content-type': index.manifest.mediaType,
      'content-length': String(index.manifest.body.length),
      etag: `"${index.manifest.digest}"`,
      'cache-status': outcome,
    });
  }
});

t.test('Docker’s own types, byte for byte', async (t) => {
  const { registry, mirror } = await start(t);
  const list = indexOf({ amd64: imageOf('docker', [10], DOCKER_MANIFEST) }, true);
  registry.push('team/docker', list, 'latest');
  const headers = { accept: [DOCKER_LIST, DOCKER_MANIFEST].join() };
  const answer = await mirror.get('/v2/team/docker/manifests/latest', { headers });
  t.ok(answer.body.equals(list.manifest.body));
  t.equal(answer.headers['content-type'], DOCKER_LIST);
});

t.test('upstream is always asked with every type, and never for an encoding', async (t) => {
  const { registry, mirror } = await start(t);
  const headers = { accept: DOCKER_MANIFEST, 'accept-encoding': 'zstd, gzip' };
  await mirror.get(latest, { headers });
  await mirror.get(`/v2/team/app/blobs/${amd64.config.digest}`, { headers });
  for (const asked of registry.asked) t.equal(asked.headers['accept-encoding'], 'identity');
  t.match(registry.asked[0]?.headers.accept, index.manifest.mediaType);
});

for (const accept of [OCI_MANIFEST, DOCKER_MANIFEST, '*/*', undefined]) {
  t.test(`a client that accepts ${accept ?? 'nothing in particular'} gets linux/amd64 by tag`, async (t) => {
    const { registry, mirror } = await start(t, 0);
    const headers: Record<string, string> = accept === undefined ? {} : { accept };
    for (const method of ['GET', 'HEAD', 'GET']) {
      const { status, headers: got, body } = await mirror.get(latest, { method, headers });
      t.equal(status, 200);
      t.equal(got['docker-content-digest'], amd64.manifest.digest);
      t.equal(got['content-length'], String(amd64.manifest.body.length));
      if (method === 'GET') t.ok(body.equals(amd64.manifest.body));
    }
    const exact = await mirror.get(`/v2/team/app/manifests/${index.manifest.digest}`, { headers });
    t.ok(exact.body.equals(index.manifest.body), 'by digest it is exactly what was asked for');
    t.ok((await mirror.manifest(latest)).body.equals(index.manifest.body), 'others still get the index');
    t.equal(registry.count('GET', '/manifests/'), 2);
  });
}

t.test('an index without linux/amd64 has nothing for such a client', async (t) => {
  const { registry, mirror } = await start(t);
  registry.push('team/arm', indexOf({ arm64 }), 'latest');
  t.equal((await mirror.get('/v2/team/arm/manifests/latest')).status, 404);
});

t.test('a wrong Docker-Content-Digest does not become ours', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(async (_asked, answer) => {
    const plain = await answer();
    return { ...plain, headers: { ...plain.headers, 'docker-content-digest': arm64.manifest.digest } };
  });
  const { headers, body } = await mirror.manifest(latest);
  t.equal(headers['docker-content-digest'], index.manifest.digest, 'the bytes decide');
  t.ok(body.equals(index.manifest.body));
});

t.test('a manifest that is not what upstream calls it is asked for once more', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(times(1, corrupting(1)));
  const { status, body } = await mirror.manifest(latest);
  t.equal(status, 200);
  t.ok(body.equals(index.manifest.body), 'a bit that flipped on its way is not shown');
  t.equal(registry.count('GET'), 2);
});

t.test('HEAD of what is not known downloads nothing', async (t) => {
  const { registry, mirror } = await start(t);
  const blob = blobOf(4 * MIB, 'head');
  registry.push('team/app', blob);
  const path = `/v2/team/app/blobs/${blob.digest}`;
  const head = await mirror.head(path);
  t.match(head, { status: 200, headers: { 'content-length': String(blob.body.length) } });
  t.equal(head.body.length, 0);
  t.equal(head.headers['docker-content-digest'], blob.digest);
  t.match(await mirror.head(latest, { headers: { accept: index.manifest.mediaType } }), {
    status: 200,
    headers: { 'content-length': String(index.manifest.body.length) },
  });
  t.equal(registry.count('GET'), 0);

  const cdn = await startCdn(t, () => registry);
  registry.act(redirecting(cdn));
  const other = blobOf(4 * MIB, 'head of redirected');
  registry.push('team/app', other);
  const redirected = await mirror.head(`/v2/team/app/blobs/${other.digest}`);
  t.match(redirected, { status: 200, headers: { 'content-length': String(other.body.length) } });
  t.equal(cdn.bytesSent(), 1, 'one byte, to learn the size');
  t.equal(mirror.status().store.objects, 0);
});

t.test('a client that has it already is told so', async (t) => {
  const { mirror } = await start(t);
  const headers = { 'if-none-match': `"${index.manifest.digest}"`, accept: index.manifest.mediaType };
  t.match(await mirror.get(latest, { headers }), { status: 304 });
  const blob = `/v2/team/app/blobs/${amd64.config.digest}`;
  const blobHeaders = { 'if-none-match': `"${amd64.config.digest}"` };
  t.match(await mirror.get(blob, { headers: blobHeaders }), { status: 304 });
});
