/** What was signed, and verified once through hubcap, verifies without upstream: also after a restart, also offline. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { ociErrorOf, type Received } from '../helpers/client.ts';
import { type Image, imageOf, indexOf } from '../helpers/content.ts';
import { json, nextOf, pagesOf, referrerLists } from '../helpers/lists.ts';
import { makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { failing } from '../helpers/personas.ts';
import { contentOf, ociError, startRegistry } from '../helpers/registry.ts';
import {
  artifactOf,
  type Described,
  descriptorOf,
  referrersIndex,
  SBOM,
  SIGNATURE,
} from '../helpers/signatures.ts';

const image = imageOf('signed', [1000]);
const other = imageOf('other', [1000]);
const signature = artifactOf('signature', SIGNATURE, image.manifest);
const sbom = artifactOf('sbom', SBOM, image.manifest);
const LIST = `/v2/team/app/referrers/${image.manifest.digest}`;
const SCHEMA_TAG = image.manifest.digest.replace(':', '-');

/** What a verifier fetches of an artifact. */
async function fetchWhole(t: Test, mirror: RunningMirror, artifact: Image, reference?: string) {
  const path = `/v2/team/app/manifests/${reference ?? artifact.manifest.digest}`;
  const manifest = await mirror.manifest(path);
  t.same([manifest.status, manifest.body], [200, artifact.manifest.body]);
  for (const { digest, body } of contentOf(artifact).slice(1))
    t.same((await mirror.get(`/v2/team/app/blobs/${digest}`)).body, body);
}

async function start(t: Test, isWithApi: boolean) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  for (const artifact of [signature, sbom]) registry.push('team/app', artifact);
  const manifests = [signature, sbom].map(descriptorOf);
  const answer = isWithApi ? json({ schemaVersion: 2, manifests }) : ociError(404, 'NAME_UNKNOWN');
  registry.act(referrerLists(() => answer));
  const directory = await makeDirectory(t);
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0, retries: 0 } };
  return { registry, directory, upstreams };
}

const manifestsOf = ({ body }: Received): Described[] => JSON.parse(body.toString()).manifests;
const byDigest = (manifests: readonly Described[]) =>
  manifests.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
const described = (...artifacts: Image[]) => byDigest(artifacts.map(descriptorOf));

/** Through each way in which upstream can be away. */
async function away(
  t: Test,
  { registry, directory, upstreams }: Awaited<ReturnType<typeof start>>,
  look: (t: Test, mirror: RunningMirror) => Promise<void>,
): Promise<void> {
  for (const [how, isOffline] of [
    ['offline', true],
    ['upstream fails', false],
  ] as const) {
    await t.test(how, async (t) => {
      registry.act(failing(503));
      const mirror = await startMirror(t, { upstreams, directory, offline: isOffline });
      await look(t, mirror);
      await mirror.close();
    });
  }
}

t.test('by the API: what was fetched is listed, whole, and nothing else', async (t) => {
  const setting = await start(t, true);
  const online = await startMirror(t, setting);
  await online.manifest('/v2/team/app/manifests/latest');
  t.same(manifestsOf(await online.get(LIST)), [signature, sbom].map(descriptorOf));
  await fetchWhole(t, online, signature);
  setting.registry.act(failing(503));
  const stale = await online.get(LIST);
  t.same(byDigest(manifestsOf(stale)), described(signature, sbom), 'remembered');
  t.equal(stale.headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
  t.match(stale.headers.warning, '299');
  await online.settled();
  await online.close();
  await away(t, setting, async (t, mirror) => {
    const list = await mirror.get(`${LIST}?artifactType=${encodeURIComponent(SIGNATURE)}`);
    t.same([list.status, manifestsOf(list)], [200, described(signature)]);
    t.equal(list.headers['oci-filters-applied'], 'artifactType');
    t.match(list.headers['cache-status'], 'hubcap; fwd=stale');
    t.same(manifestsOf(await mirror.get(LIST)), described(signature), 'the SBOM was never fetched');
    await fetchWhole(t, mirror, signature);
    const unknown = await mirror.get(`/v2/team/app/referrers/${other.manifest.digest}`);
    const isOffline = mirror.status().isOffline;
    t.equal(unknown.status, isOffline ? 404 : 502, 'nothing known is no empty list');
    if (isOffline) t.match(ociErrorOf(unknown).message, 'offline');
    const elsewhere = await mirror.get(`/v2/team/elsewhere/referrers/${image.manifest.digest}`);
    t.equal(elsewhere.status, isOffline ? 404 : 502, 'another repository holds none of it');
  });
});

t.test('by the tag schema: the index is kept as any tag', async (t) => {
  const setting = await start(t, false);
  setting.registry.push('team/app', referrersIndex([signature, sbom]), SCHEMA_TAG);
  const online = await startMirror(t, setting);
  await online.get(LIST);
  await fetchWhole(t, online, signature);
  await online.close();
  await away(t, setting, async (t, mirror) => {
    t.same(manifestsOf(await mirror.get(LIST)), described(signature, sbom));
    const direct = await mirror.manifest(`/v2/team/app/manifests/${SCHEMA_TAG}`);
    t.equal(direct.status, 200, 'for clients that go that way themselves');
    await fetchWhole(t, mirror, signature);
  });
});

t.test('an empty index is known to be empty', async (t) => {
  const setting = await start(t, false);
  setting.registry.push('team/app', referrersIndex([]), SCHEMA_TAG);
  const online = await startMirror(t, setting);
  t.same(manifestsOf(await online.get(LIST)), []);
  await online.close();
  await away(t, setting, async (t, mirror) => {
    const list = await mirror.get(LIST);
    t.same([list.status, manifestsOf(list)], [200, []]);
  });
});

t.test('as cosign did it: tags of their own', async (t) => {
  const setting = await start(t, true);
  const attached = ['sig', 'att', 'sbom'].map((suffix) => ({
    tag: `${SCHEMA_TAG}.${suffix}`,
    artifact: artifactOf(suffix, SIGNATURE),
  }));
  for (const { tag, artifact } of attached) setting.registry.push('team/app', artifact, tag);
  const online = await startMirror(t, setting);
  for (const { tag, artifact } of attached) await fetchWhole(t, online, artifact, tag);
  await online.settled();
  await online.close();
  await away(t, setting, async (t, mirror) => {
    for (const { tag, artifact } of attached) await fetchWhole(t, mirror, artifact, tag);
    const pages = await pagesOf<string>(mirror.get, '/v2/team/app/tags/list?n=2', 'tags');
    t.same(pages.flat().sort(), attached.map(({ tag }) => tag).sort());
  });
});

t.test('a referrer that is an index, and one of a platform', async (t) => {
  const setting = await start(t, true);
  const platforms = indexOf({ amd64: image });
  const document = JSON.parse(platforms.manifest.body.toString());
  const { mediaType, digest, body } = other.manifest;
  document.subject = { mediaType, digest, size: body.length };
  const bytes = Buffer.from(JSON.stringify(document));
  const manifest = { digest: digestOf(bytes), body: bytes, mediaType: platforms.manifest.mediaType };
  setting.registry.push('team/app', { manifest, images: [image] });
  const online = await startMirror(t, setting);
  await online.manifest(`/v2/team/app/manifests/${manifest.digest}`);
  await online.close();
  await away(t, setting, async (t, mirror) => {
    const list = await mirror.get(`/v2/team/app/referrers/${other.manifest.digest}`);
    t.match(manifestsOf(list), [{ digest: manifest.digest, annotations: document.annotations }]);
  });
});

t.test(
  'a directory of an earlier version: what was stored then is looked into when it is asked for',
  async (t) => {
    const setting = await start(t, true);
    const online = await startMirror(t, setting);
    await fetchWhole(t, online, signature);
    await fetchWhole(t, online, image);
    await online.settled();
    await online.close();
    const database = new DatabaseSync(join(setting.directory, 'v1', 'catalog.db'));
    database.exec('DELETE FROM subjects');
    database.close();
    await away(t, setting, async (t, mirror) => {
      t.same(manifestsOf(await mirror.get(LIST)), described(signature));
    });
  },
);

t.test(
  'the tags of a registry that is away are what was pulled, page by page, after a restart',
  async (t) => {
    const setting = await start(t, true);
    const pulled = ['a', 'b', 'c', 'd', 'e'];
    for (const tag of [...pulled, 'never']) setting.registry.push('team/app', other, tag);
    const online = await startMirror(t, setting);
    for (const tag of pulled) await online.manifest(`/v2/team/app/manifests/${tag}`);
    await online.close();
    await away(t, setting, async (t, mirror) => {
      const path = '/registry.test/v2/team/app/tags/list?n=2';
      t.same(await pagesOf(mirror.get, path, 'tags'), [['a', 'b'], ['c', 'd'], ['e']]);
      const first = await mirror.get('/v2/team/app/tags/list?n=2&ns=registry.test');
      t.equal(nextOf(first), '/v2/team/app/tags/list?n=2&last=b&ns=registry.test');
      t.match(first.headers.warning, '299');
      const unknown = await mirror.get('/v2/team/unknown/tags/list');
      const isOffline = mirror.status().isOffline;
      t.equal(unknown.status, isOffline ? 404 : 502);
      if (isOffline) t.match(ociErrorOf(unknown), { code: 'NAME_UNKNOWN', message: /offline/ });
    });
  },
);
