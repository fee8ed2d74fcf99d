import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import type { Descriptor, Manifest } from '../../src/oci/manifest.ts';
import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import type { Repository, Tag } from '../../src/oci/reference.ts';
import { Catalog, type RepositoryName } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';

const repository = (name: string, upstream = 'docker.io'): RepositoryName => ({
  upstream,
  name: name as Repository,
});
const tag = (text: string): Tag => text as Tag;
const [alpine, debian] = [repository('library/alpine'), repository('library/debian')];
const [indexDigest, manifest, config, layer, foreign] = ['i', 'm', 'c', 'l', 'f'].map((text) =>
  digestOf(text),
) as [Digest, Digest, Digest, Digest, Digest];

function descriptor(digest: Digest, role: Descriptor['role'], more: Partial<Descriptor> = {}): Descriptor {
  return { role, mediaType: '', digest, size: 10, foreign: false, ...more };
}

const image: Manifest = {
  mediaType: OCI_MANIFEST,
  isIndex: false,
  children: [
    descriptor(config, 'config'),
    descriptor(layer, 'layer'),
    descriptor(foreign, 'layer', { foreign: true }),
  ],
};
const platform = { os: 'linux', architecture: 'arm', variant: 'v7' };
const index: Manifest = {
  mediaType: OCI_INDEX,
  isIndex: true,
  children: [descriptor(manifest, 'manifest', { platform })],
};

function openCatalog(t: { teardown(work: () => void): unknown }) {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const content = new ContentIndex(database);
  const catalog = new Catalog(database, rethrow);
  /** as the mirror does with a manifest that it has stored */
  const store = (digest: Digest, parsed?: Manifest): void => {
    content.add({ digest, size: 10 }, 1);
    if (parsed) catalog.addManifest(digest, parsed);
  };
  return { database, catalog, content, store };
}

const state = (digest: Digest, checkedAtMs = 5) => ({ digest, mediaType: OCI_INDEX, size: 10, checkedAtMs });

t.test('tags', async (t) => {
  const { catalog, content, store } = openCatalog(t);
  t.equal(catalog.tag(alpine, tag('latest')), undefined);
  catalog.setTag(alpine, tag('latest'), state(indexDigest));
  t.equal(catalog.tag(alpine, tag('latest')), undefined, 'no tag without its manifest');
  store(indexDigest, index);
  store(manifest, image);
  catalog.setTag(alpine, tag('latest'), state(indexDigest));
  t.same(catalog.tag(alpine, tag('latest')), state(indexDigest));
  catalog.setTag(alpine, tag('latest'), { ...state(manifest, 9), size: undefined });
  t.same(catalog.tag(alpine, tag('latest')), { ...state(manifest, 9), size: undefined }, 'it moved');
  t.equal(catalog.tag(debian, tag('latest')), undefined, 'another repository');
  t.equal(catalog.tag(repository('library/alpine', 'ghcr.io'), tag('latest')), undefined, 'another upstream');
  content.remove(manifest);
  t.equal(catalog.tag(alpine, tag('latest')), undefined, 'it goes with its manifest');
});

t.test('lists of tags', async (t) => {
  const { catalog, store } = openCatalog(t);
  store(indexDigest, index);
  for (const text of ['b', 'a', 'c', 'B']) catalog.setTag(alpine, tag(text), state(indexDigest));
  t.same(catalog.tags(alpine, '', 10), ['B', 'a', 'b', 'c']);
  t.same(catalog.tags(alpine, 'a', 1), ['b']);
  catalog.deleteTag(alpine, tag('b'));
  catalog.deleteTag(debian, tag('a'));
  t.same(catalog.tags(alpine, 'a', 9), ['c']);
  t.same(catalog.tags(debian, '', 9), []);
});

t.test('what a repository was proven to hold', async (t) => {
  const { catalog, content, store } = openCatalog(t);
  t.equal(catalog.grant(alpine, layer, 1), false, 'nothing is noted of what is not stored');
  store(layer);
  t.equal(catalog.holds(alpine, layer), false);
  t.equal(catalog.grant(alpine, layer, 1), true);
  t.equal(catalog.grant(alpine, layer, 2), true);
  t.equal(catalog.holds(alpine, layer), true);
  t.equal(catalog.holds(debian, layer), false, 'knowing a digest is not permission');
  t.equal(catalog.holds(repository('library/alpine', 'ghcr.io'), layer), false);
  content.remove(layer);
  t.equal(catalog.holds(alpine, layer), false);
});

t.test('what the manifests of a repository name', async (t) => {
  const { catalog, store } = openCatalog(t);
  store(manifest, image);
  t.equal(catalog.isNamed(alpine, layer), false, 'a manifest that is not held names nothing');
  catalog.grant(alpine, manifest, 1);
  t.equal(catalog.isNamed(alpine, layer), true);
  t.equal(catalog.isNamed(alpine, config), true);
  t.equal(catalog.isNamed(alpine, foreign), false, 'a foreign layer is not content of the registry');
  t.equal(catalog.isNamed(alpine, manifest), false);
  t.equal(catalog.isNamed(debian, layer), false);
});

t.test('the type that is known of a digest', async (t) => {
  const { catalog, store } = openCatalog(t);
  t.equal(catalog.manifestType(manifest), undefined);
  store(manifest, image);
  catalog.addManifest(manifest, { ...image, mediaType: DOCKER_MANIFEST });
  t.equal(catalog.manifestType(manifest), OCI_MANIFEST, 'as first seen');
});

t.test('what a manifest names, and what of it is stored', async (t) => {
  const { catalog, content, store } = openCatalog(t);
  store(indexDigest, index);
  store(manifest, image);
  content.add({ digest: layer, size: 10 }, 1);
  t.same(catalog.links(indexDigest), [
    { child: manifest, role: 'manifest', size: 10, platform: 'linux/arm/v7', isForeign: false, stored: true },
  ]);
  t.same(
    catalog.links(manifest).map(({ child, role, stored, isForeign }) => [child, role, stored, isForeign]),
    [
      [config, 'config', false, false],
      [layer, 'layer', true, false],
      [foreign, 'layer', false, true],
    ],
  );
  content.remove(manifest);
  t.same(catalog.links(manifest), [], 'they go with it');
});

t.test('images are tags, and manifests that nothing names', async (t) => {
  const { catalog, store } = openCatalog(t);
  store(indexDigest, index);
  store(manifest, image);
  for (const digest of [indexDigest, manifest]) catalog.grant(alpine, digest, 1);
  catalog.setTag(alpine, tag('latest'), state(indexDigest));
  catalog.grant(debian, manifest, 1);
  t.same(
    [...catalog.images()].map((row) => [row.repository, row.tag, row.digest, row.mediaType, row.checkedAtMs]),
    [
      ['library/alpine', 'latest', indexDigest, OCI_INDEX, 5],
      ['library/debian', undefined, manifest, OCI_MANIFEST, undefined],
    ],
  );
});

t.test('repositories with content, in order', async (t) => {
  const { catalog, store } = openCatalog(t);
  store(layer);
  store(manifest, image);
  for (const name of [debian, alpine, repository('owner/app', 'ghcr.io')]) catalog.grant(name, layer, 1);
  catalog.grant(repository('nothing/stored'), digestOf('not stored'), 1);
  t.same(catalog.repositories('', 10), [
    'docker.io/library/alpine',
    'docker.io/library/debian',
    'ghcr.io/owner/app',
  ]);
  t.same(catalog.repositories('docker.io/library/alpine', 1), ['docker.io/library/debian']);
});

t.test('a manifest with as many children as fit in it', async (t) => {
  const { catalog, store } = openCatalog(t);
  const children = Array.from({ length: 20_000 }, (_, at) => descriptor(digestOf(String(at)), 'layer'));
  store(manifest, { ...image, children });
  t.equal(catalog.links(manifest).length, 20_000);
});

function rethrow(error: unknown): never {
  throw error;
}

t.test(
  'what refers to a digest: in the repositories that hold it, and as long as it is stored',
  async (t) => {
    const { catalog, content, store } = openCatalog(t);
    const [signature, sbom] = [digestOf('signature'), digestOf('sbom')];
    const referring: Manifest = { ...image, subject: descriptor(manifest, 'subject') };
    store(manifest, image);
    for (const digest of [signature, sbom]) store(digest, referring);
    t.same(catalog.referrers(alpine, manifest, '', 10), [], 'rule 3');
    for (const digest of [manifest, signature, sbom]) catalog.grant(alpine, digest, 1);
    catalog.grant(debian, sbom, 1);
    const both = [signature, sbom].toSorted();
    t.same(catalog.referrers(alpine, manifest, '', 10), both);
    t.same(catalog.referrers(alpine, manifest, '', 1), both.slice(0, 1));
    t.same(catalog.referrers(alpine, manifest, both[0] ?? '', 10), both.slice(1));
    t.same(catalog.referrers(debian, manifest, '', 10), [sbom]);
    t.same(catalog.referrers(alpine, signature, '', 10), []);
    t.same(catalog.withoutSubject(alpine, 10), [], 'also of those that refer to nothing it is known');
    content.remove(manifest);
    t.same(catalog.referrers(alpine, manifest, '', 10), both, 'its subject need not be stored');
    content.remove(signature);
    t.same(catalog.referrers(alpine, manifest, '', 10), [sbom]);
    store(signature, image);
    catalog.grant(alpine, signature, 1);
    t.same(catalog.referrers(alpine, manifest, '', 10), [sbom], 'nothing of it was left');
  },
);

t.test('what an earlier version stored is looked for once, and again where more of it comes', async (t) => {
  const { database, catalog, store } = openCatalog(t);
  const another = digestOf('another');
  for (const digest of [manifest, another]) store(digest, image);
  catalog.grant(alpine, manifest, 1);
  t.same(catalog.withoutSubject(alpine, 10), []);
  database.exec('DELETE FROM subjects'); // as that version left it
  t.same(catalog.withoutSubject(alpine, 10), [], 'it is known that there is none');
  catalog.grant(alpine, another, 1);
  t.same(catalog.withoutSubject(alpine, 10), [another, manifest].toSorted());
  for (const digest of [manifest, another]) catalog.addManifest(digest, image);
  t.same(catalog.withoutSubject(alpine, 10), []);
});

t.test('a page of the repositories is read from an index', async (t) => {
  const { database, catalog } = openCatalog(t);
  const prepare = database.prepare.bind(database);
  const read: string[] = [];
  database.prepare = (sql) => {
    read.push(sql);
    return prepare(sql);
  };
  new Catalog(database, rethrow);
  t.same(catalog.repositories('', 10), []);
  const list = read.find((sql) => sql.includes('FROM repositories r WHERE path')) ?? '';
  const plan = prepare(`EXPLAIN QUERY PLAN ${list}`).all('', 10);
  t.ok(
    plan.every(({ detail }) => !/SCAN|TEMP B-TREE/.test(String(detail))),
    JSON.stringify(plan),
  );
});
