/** Signatures, SBOMs and attestations are found through hubcap, whether upstream lists them or clients keep an index. */
import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { OCI_INDEX } from '../../src/oci/media-types.ts';
import type { Received } from '../helpers/client.ts';
import { imageOf, indexOf } from '../helpers/content.ts';
import { json, nextLink, nextOf, pagesOf, referrerLists } from '../helpers/lists.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Answer, Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200 } from '../helpers/personas.ts';
import { ociError, startRegistry } from '../helpers/registry.ts';
import { artifactOf, descriptorOf, referrersIndex, SBOM, SIGNATURE } from '../helpers/signatures.ts';

const image = imageOf('signed', [1000]);
const [signature, sbom] = [
  artifactOf('signature', SIGNATURE, image.manifest),
  artifactOf('sbom', SBOM, image.manifest),
];
const descriptors = [signature, sbom].map(descriptorOf);
const LIST = `/v2/team/app/referrers/${image.manifest.digest}`;
const SCHEMA_TAG = image.manifest.digest.replace(':', '-');
const index = referrersIndex([signature, sbom]);

async function start(t: Test, persona: Persona, tagTtlMs = 60_000) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  registry.act(persona);
  const at = { at: registry, tagTtlMs, notFoundTtlMs: tagTtlMs, retries: 0 };
  const upstreams = { 'registry.test': at };
  return { registry, mirror: await startMirror(t, { upstreams }) };
}

const manifestsOf = ({ body }: Received): unknown[] => JSON.parse(body.toString()).manifests;
const listed = (...manifests: readonly unknown[]): Answer =>
  json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, { 'content-type': OCI_INDEX });

t.test('upstream lists them: asked once, whatever the filters', async (t) => {
  const { registry, mirror } = await start(
    t,
    referrerLists(() => listed(...descriptors)),
  );
  const all = await mirror.get(LIST);
  t.same(JSON.parse(all.body.toString()), { schemaVersion: 2, mediaType: OCI_INDEX, manifests: descriptors });
  t.equal(all.headers['content-type'], OCI_INDEX);
  t.equal(all.headers['oci-filters-applied'], undefined);
  const filtered = await mirror.get(`${LIST}?artifactType=${encodeURIComponent(SBOM)}`);
  t.same(manifestsOf(filtered), [descriptors[1]]);
  t.equal(filtered.headers['oci-filters-applied'], 'artifactType');
  t.equal(filtered.headers['cache-status'], 'hubcap; hit');
  t.same(manifestsOf(await mirror.get(`${LIST}?artifactType=none`)), []);
  t.equal(registry.asked.length, 1);
});

t.test('upstream pages them, each page elsewhere', async (t) => {
  const { registry, mirror } = await start(
    t,
    referrerLists(({ query }) => {
      const page = Number(query.get('page') ?? 0);
      const answer = listed(descriptors[page % 2]);
      const link = page < 2 ? nextLink(`https://elsewhere.test/?page=${page + 1}`) : {};
      return { ...answer, headers: { ...answer.headers, ...link } };
    }),
  );
  t.same(manifestsOf(await mirror.get(LIST)), descriptors, 'merged, each once');
  t.ok(registry.asked.every(({ path }) => path === LIST));
});

t.test('more than clients read at once are given in parts', async (t) => {
  const annotations = { note: 'x'.repeat(20_000) };
  const many = Array.from({ length: 450 }, (_, at) => ({
    ...descriptors[0],
    digest: digestOf(String(at)),
    annotations,
  }));
  const { mirror } = await start(
    t,
    referrerLists(({ query }) => {
      const page = Number(query.get('page') ?? 0);
      const answer = listed(...many.slice(page * 100, page * 100 + 100));
      return { ...answer, headers: { ...answer.headers, ...(page < 4 && nextLink(`?page=${page + 1}`)) } };
    }),
  );
  const first = await mirror.get(`${LIST}?artifactType=${encodeURIComponent(SIGNATURE)}`);
  t.ok(first.body.length < 4 * 1024 * 1024);
  t.match(nextOf(first), 'artifactType=');
  t.same((await pagesOf(mirror.get, LIST, 'manifests')).flat(), many);
});

const missing: [how: string, answer: Persona][] = [
  ['404', () => ociError(404, 'NAME_UNKNOWN')],
  ['400', failing(400)],
  ['405', failing(405)],
  ['406', failing(406)],
  ['501', failing(501)],
  ['403', failing(403)],
  ['a page for people', htmlWith200()],
  ['200 and something else', () => json({ hello: 'world' })],
];

for (const [how, persona] of missing) {
  t.test(`upstream has no such list and says so by ${how}: the tag schema has it`, async (t) => {
    const { registry, mirror } = await start(t, referrerLists(persona));
    registry.push('team/app', index, SCHEMA_TAG);
    const all = await mirror.get(LIST);
    t.same([all.status, manifestsOf(all)], [200, descriptors]);
    t.equal(all.headers['content-type'], OCI_INDEX);
    const filtered = await mirror.get(`${LIST}?artifactType=${encodeURIComponent(SIGNATURE)}`);
    t.same(manifestsOf(filtered), [descriptors[0]]);
    t.equal(filtered.headers['oci-filters-applied'], 'artifactType');
    t.equal(registry.count('GET', '/manifests/'), 1, 'mirrored as any other tag');
    const direct = await mirror.manifest(`/v2/team/app/manifests/${SCHEMA_TAG}`);
    t.ok(direct.body.equals(index.manifest.body), 'byte for byte');
  });
}

t.test('nothing refers to it, and upstream has no such list', async (t) => {
  const { registry, mirror } = await start(
    t,
    referrerLists(() => ociError(404, 'NAME_UNKNOWN')),
  );
  const none = await mirror.get(LIST);
  t.same([none.status, manifestsOf(none)], [200, []]);
  const asked = registry.asked.length;
  await mirror.get(LIST);
  t.equal(registry.asked.length, asked, 'remembered for a while');
});

t.test('a registry that takes the tag for the digest gives an index, not its referrers', async (t) => {
  const { registry, mirror } = await start(
    t,
    referrerLists(() => ociError(404, 'NAME_UNKNOWN')),
  );
  const platforms = indexOf({ amd64: image });
  const { digest } = platforms.manifest;
  registry.push('team/app', platforms, digest.replace(':', '-'));
  const none = await mirror.get(`/v2/team/app/referrers/${digest}`);
  t.same([none.status, manifestsOf(none)], [200, []]);
});

t.test('trouble is neither absence nor an empty list', async (t) => {
  const { registry, mirror } = await start(t, failing(503), 0);
  t.equal((await mirror.get(LIST)).status, 502);
  registry.act(failing(403));
  t.equal((await mirror.get(LIST)).status, 403);
  registry.act(htmlWith200());
  t.equal((await mirror.get(LIST)).status, 502);
  registry.act(referrerLists(failing(404)), failing(503));
  t.equal((await mirror.get(LIST)).status, 502, 'the tag schema could not be asked');
  registry.act(referrerLists(failing(403)));
  t.equal((await mirror.get(LIST)).status, 403, 'no tag, and a list that is refused');
  const huge = Buffer.alloc(5 * 1024 * 1024, ' ');
  registry.act(referrerLists(() => ({ status: 200, body: huge })));
  t.equal((await mirror.get(LIST)).status, 502, 'a list that is too large is no empty one');
  registry.act(failing(429, { 'retry-after': '7' }));
  t.equal((await mirror.get(LIST)).status, 429);
  const down = await start(t, failing(503));
  await down.registry.close();
  t.equal((await down.mirror.get(LIST)).status, 503);
});

t.test('a registry whose lists fail is not down: its tags are confirmed', async (t) => {
  const { registry, mirror } = await start(t, referrerLists(failing(500)), 0);
  for (const name of ['team/a', 'team/b', 'team/c', 'team/d', 'team/app']) {
    registry.push(name, image, 'latest');
    await mirror.manifest(`/v2/${name}/manifests/latest`);
    t.equal((await mirror.get(`/v2/${name}/referrers/${image.manifest.digest}`)).status, 502);
    const tag = await mirror.manifest(`/v2/${name}/manifests/latest`);
    t.equal(tag.headers['cache-status'], 'hubcap; hit; detail=revalidated');
  }
});

t.test('a list whose end cannot be had is not given as if it were whole', async (t) => {
  const { mirror } = await start(
    t,
    referrerLists(({ query }) => {
      if (query.has('page')) return { status: 503, headers: {} };
      const answer = listed(descriptors[0]);
      return { ...answer, headers: { ...answer.headers, ...nextLink('?page=1') } };
    }),
  );
  t.equal((await mirror.get(LIST)).status, 502, 'the signature may be on the page that failed');
  const again = await mirror.get(LIST);
  t.match(again.headers, { 'cache-status': 'hubcap; fwd=stale; fwd-status=503', warning: /^299 - / });
  t.equal((await mirror.get(nextOf(again) ?? '')).status, 502);
});
