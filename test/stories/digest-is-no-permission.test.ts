import t from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { blobOf, imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, failing, htmlWith200, only, silent, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(2 * MIB, 'secret');
const through = (repository: string): string => `/v2/${repository}/blobs/${blob.digest}`;
const ofRepository = (name: string) => (asked: { path: string }) => asked.path.startsWith(`/v2/${name}/`);

t.test('a blob that is stored is served through a repository that upstream says holds it', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/private', blob);
  registry.push('team/shared', blob);
  registry.push('team/other', blobOf(10, 'unrelated'));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  await mirror.get(through('team/private'));
  await mirror.settled();

  const refused = await mirror.get(through('team/other'));
  t.equal(refused.status, 404);
  t.equal(ociErrorOf(refused).code, 'BLOB_UNKNOWN');
  t.equal((await mirror.head(through('team/other'))).status, 404, 'HEAD says the same');
  const ofEtag = await mirror.get(through('team/other'), {
    headers: { 'if-none-match': `"${blob.digest}"` },
  });
  t.equal(ofEtag.status, 404, 'and so does a conditional request');

  const shared = await mirror.get(through('team/shared'));
  t.equal(shared.status, 200);
  t.ok(shared.body.equals(blob.body));
  t.equal(registry.count('HEAD', 'team/shared'), 1, 'upstream was asked');
  t.equal(registry.count('GET'), 1, 'and nothing was downloaded again');
});

t.test('no word from upstream is no permission', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/private', blob);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  await mirror.get(through('team/private'));
  registry.act(failing(503));
  const refused = await mirror.get(through('team/other'));
  t.equal(refused.status, 502, 'trouble, not absence');
  registry.act(failing(403));
  t.equal((await mirror.get(through('team/third'))).status, 403);
});

t.test('a running fill is joined with the word of upstream alone', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/private', blob);
  registry.push('team/other', blobOf(10, 'unrelated'));
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const first = await mirror.open(through('team/private'));
  await first.receive(1);
  const refused = await mirror.get(through('team/other'));
  t.equal(refused.status, 404);
  gate.open();
  t.ok((await first.ended).isComplete);
});

t.test('who is refused does not take those along who are let in', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/private', blob);
  registry.push('team/shared', blob);
  const gate = makeGate();
  const refusing = only(ofRepository('team/private'), failing(403));
  registry.act(only(ofRepository('team/private'), silent(gate.opened)), refusing);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const refused = mirror.get(through('team/private'));
  await until('the private one is asked for', () => registry.count('GET', 'team/private') === 1);
  const letIn = mirror.get(through('team/shared'));
  await mirror.reached();
  gate.open();
  t.equal((await refused).status, 403);
  const { status, body } = await letIn;
  t.equal(status, 200);
  t.ok(body.equals(blob.body));
});

t.test('the same digest on two upstreams: one that is down does not fail the other', async (t) => {
  const [down, up] = [await startRegistry(t), await startRegistry(t)];
  up.push('team/app', blob);
  const gate = makeGate();
  down.act(silent(gate.opened), failing(500));
  const mirror = await startMirror(t, { upstreams: { 'down.test': { at: down }, 'up.test': { at: up } } });
  const failed = mirror.get(through('down.test/team/app'));
  await until('the one is asked', () => down.count('GET') === 1);
  const served = mirror.get(through('up.test/team/app'));
  await mirror.reached();
  gate.open();
  t.equal((await failed).status, 502);
  t.equal((await served).status, 200);
});

t.test('the same name on two upstreams is two repositories', async (t) => {
  const [one, two] = [await startRegistry(t), await startRegistry(t)];
  const [imageOne, imageTwo] = [imageOf('one', [1000]), imageOf('two', [1000])];
  one.push('team/app', imageOne, 'latest');
  two.push('team/app', imageTwo, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'one.test': { at: one }, 'two.test': { at: two } } });
  const byTag = async (query: string) =>
    (await mirror.manifest(`/v2/team/app/manifests/latest${query}`)).headers['docker-content-digest'];
  t.equal(await byTag('?ns=one.test'), imageOne.manifest.digest);
  t.equal(await byTag('?ns=two.test'), imageTwo.manifest.digest);
  t.equal(await byTag(''), imageOne.manifest.digest, 'the default upstream');
  t.equal(await byTag('?ns=two.test'), imageTwo.manifest.digest, 'from the cache');

  const foreign = await mirror.manifest(`/v2/team/app/manifests/${imageOne.manifest.digest}?ns=two.test`);
  t.equal(foreign.status, 404, 'the one does not serve what is the other’s');
  const layer = imageOne.layers[0]?.digest;
  t.equal((await mirror.get(`/v2/team/app/blobs/${layer}?ns=one.test`)).status, 200);
  t.equal((await mirror.get(`/v2/team/app/blobs/${layer}?ns=two.test`)).status, 404);
});

t.test('a manifest that is stored is served through another repository after its proof', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('app', [1000]);
  registry.push('team/private', image, 'v1');
  registry.push('team/shared', image, 'v1');
  registry.push('team/other', blobOf(10, 'unrelated'));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const path = (repository: string) => `/v2/${repository}/manifests/${image.manifest.digest}`;
  t.equal((await mirror.manifest(path('team/private'))).status, 200);
  t.equal((await mirror.manifest(path('team/other'))).status, 404);
  t.equal((await mirror.manifest(path('team/shared'))).status, 200);
  t.equal(registry.count('GET', '/manifests/'), 1);
  t.equal(registry.count('HEAD', '/manifests/'), 2);
});

t.test('who asks for a layer as if it were a manifest, or the reverse, takes it from nobody', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('app', [1000]);
  registry.push('team/app', image, 'latest');
  const settings = { at: registry, grantTtlMs: 0, retries: 0, notFoundTtlMs: 0 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': settings } });
  const layer = image.layers[0]?.digest;
  const paths = ['manifests/latest', `manifests/${image.manifest.digest}`, `blobs/${layer}`];
  for (const path of paths) t.equal((await mirror.manifest(`/v2/team/app/${path}`)).status, 200);
  await mirror.settled();
  for (const path of [`manifests/${layer}`, `blobs/${image.manifest.digest}`]) {
    t.equal((await mirror.manifest(`/v2/team/app/${path}`)).status, 404);
    t.equal((await mirror.head(`/v2/team/app/${path}`)).status, 404);
  }
  registry.act(failing(503));
  for (const path of paths) t.equal((await mirror.manifest(`/v2/team/app/${path}`)).status, 200, path);
});

t.test('a page that is there for everything proves nothing', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('app', [1000]);
  registry.push('team/private', image, 'v1');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, retries: 0 } } });
  const path = (repository: string) => `/v2/${repository}/blobs/${image.layers[0]?.digest}`;
  t.equal((await mirror.get(path('team/private'))).status, 200);
  await mirror.settled();
  const login: Persona = ({ path }) => {
    const headers = { 'content-type': 'text/html; charset=utf-8' };
    if (path.startsWith('/v2/')) return { status: 302, headers: { ...headers, location: '/login' } };
    return { status: 200, headers, body: Buffer.from('<html>Please log in</html>'), isChunked: true };
  };
  const unchanged: Persona = () => ({ status: 304 });
  for (const [repository, persona] of Object.entries({ page: htmlWith200(), login, unchanged })) {
    registry.act(persona);
    t.equal((await mirror.get(path(`team/${repository}`))).status, 502, repository);
    t.equal((await mirror.manifest(`/v2/team/${repository}/manifests/${image.manifest.digest}`)).status, 502);
  }
});

t.test('a HEAD of something else is no proof that a repository holds a manifest', async (t) => {
  const image = imageOf('secret', [100]);
  const path = (name: string) => `/v2/${name}/manifests/${image.manifest.digest}`;
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  for (const [status, headers] of [
    [200, { 'content-type': 'text/plain' }],
    [200, { 'content-type': 'text/html' }],
    [200, { 'content-type': manifestType, 'docker-content-digest': blob.digest }],
    [206, { 'content-type': manifestType, 'content-range': 'bytes 0-0/100' }],
    [416, { 'content-range': 'bytes */100' }],
  ] as [number, Record<string, string>][]) {
    const registry = await startRegistry(t);
    registry.push('team/private', image);
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
    t.equal((await mirror.manifest(path('team/private'))).status, 200);
    registry.act(failing(status, headers));
    t.equal((await mirror.manifest(path('team/other'))).status, 502, `${status} ${JSON.stringify(headers)}`);
    t.equal((await mirror.head(path('team/other'))).status, 502);
  }
});
