import t, { type Test } from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import type { Descriptor, Manifest } from '../../src/oci/manifest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import type { Platform } from '../../src/oci/platform.ts';
import type { Repository, Tag } from '../../src/oci/reference.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { type Miss, Misses } from '../../src/store/misses.ts';

const repository = { upstream: 'docker.io', name: 'library/app' as Repository };
const [index, amd64, arm64, config, layer] = ['index', 'amd64', 'arm64', 'config', 'layer'].map((text) =>
  digestOf(text),
) as [Digest, Digest, Digest, Digest, Digest];

function miss(reference: string, kind: Miss['kind'] = 'manifest', reason = 'offline'): Miss {
  return { upstream: repository.upstream, repository: repository.name, reference, kind, reason };
}

function open(t: Test, { maxLines = 100 } = {}) {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const catalog = new Catalog(database, (error) => {
    throw error;
  });
  const content = new ContentIndex(database);
  const misses = new Misses({ database, catalog, maxLines });
  const store = (digest: Digest, manifest?: Manifest): void => {
    content.add({ digest, size: 10 }, 1);
    catalog.grant(repository, digest, 1);
    if (manifest) catalog.addManifest(digest, manifest);
  };
  const setTag = (tag: string, digest: Digest, mediaType = OCI_INDEX): void =>
    catalog.setTag(repository, tag as Tag, { digest, mediaType, size: 10, checkedAtMs: 1 });
  const lines = () =>
    [...misses.list()].map(({ reference, kind, platform, count }) => [reference, kind, platform, count]);
  return { database, misses, store, setTag, lines };
}

function child(digest: Digest, role: Descriptor['role'], platform?: string): Descriptor {
  const [os = '', architecture = ''] = platform?.split('/') ?? [];
  const found: Platform | undefined = platform === undefined ? undefined : { os, architecture };
  return {
    digest,
    role,
    size: 10,
    mediaType: 'a/b',
    foreign: false,
    ...(found && { platform: found }),
  } as Descriptor;
}

const imageManifest: Manifest = {
  mediaType: OCI_MANIFEST,
  isIndex: false,
  children: [child(config, 'config'), child(layer, 'layer')],
};
const indexManifest: Manifest = {
  mediaType: OCI_INDEX,
  isIndex: true,
  children: [child(amd64, 'manifest', 'linux/amd64'), child(arm64, 'manifest', 'linux/arm64')],
};

t.test('the same question is one line: how often, since when, why it was refused last', async (t) => {
  const { misses } = open(t);
  misses.note(miss('3.20'), 1_000);
  misses.note(miss('3.20'), 2_000);
  misses.flush();
  misses.note(miss('3.20', 'manifest', 'unavailable/dns'), 3_000);
  misses.note({ ...miss('3.20'), upstream: 'ghcr.io' }, 4_000);
  misses.note(miss('3.20', 'tags'), 500);
  t.match(
    [...misses.list()],
    [
      { upstream: 'ghcr.io', reference: '3.20', count: 1, firstAtMs: 4_000 },
      { upstream: 'docker.io', count: 3, firstAtMs: 1_000, lastAtMs: 3_000, reason: 'unavailable/dns' },
      { kind: 'tags', count: 1 },
    ],
    'the last asked for comes first',
  );
  t.equal(misses.lines, 3);
});

t.test('a digest is the image and the platform that it belongs to, as far as that is known', async (t) => {
  const { misses, store, setTag, lines } = open(t);
  for (const digest of [layer, arm64]) misses.note(miss(digest, digest === layer ? 'blob' : 'manifest'), 1);
  t.same(
    lines().sort(),
    [
      [arm64, 'manifest', undefined, 1],
      [layer, 'blob', undefined, 1],
    ].sort(),
    'nothing is known',
  );
  misses.clear();
  store(amd64, imageManifest);
  misses.note(miss(layer, 'blob'), 2);
  t.same(lines(), [[amd64, 'manifest', undefined, 1]], 'an image without a tag');
  misses.clear();
  store(index, indexManifest);
  misses.note(miss(layer, 'blob'), 3);
  misses.note(miss(config, 'blob'), 3);
  t.same(lines(), [[index, 'manifest', 'linux/amd64', 2]], 'what one image lacks is one line');
  misses.clear();
  setTag('latest', index);
  misses.note(miss(layer, 'blob'), 4);
  misses.note(miss(arm64), 5);
  t.same(lines(), [
    ['latest', 'manifest', 'linux/arm64', 1],
    ['latest', 'manifest', 'linux/amd64', 1],
  ]);
});

t.test('another repository’s manifests say nothing about a digest', async (t) => {
  const { misses, store, lines } = open(t);
  store(amd64, imageManifest);
  misses.note({ ...miss(layer, 'blob'), repository: 'library/other' as Repository }, 1);
  t.same(lines(), [[layer, 'blob', undefined, 1]]);
});

t.test('what is here by now leaves the list, whoever brought it', async (t) => {
  const { misses, store, setTag, lines } = open(t);
  store(index, indexManifest);
  setTag('latest', index);
  const other = digestOf('other');
  for (const reference of ['latest', 'gone']) misses.note(miss(reference), 1);
  misses.note(miss(amd64), 2);
  misses.note(miss(arm64), 2);
  misses.note(miss(other, 'blob'), 3);
  misses.note(miss('', 'tags'), 4);
  t.equal(misses.lines, 0, 'nothing is written before its time');
  t.equal(lines().length, 5, 'of the image no platform is here; there are tags');
  store(amd64, imageManifest);
  store(config);
  t.equal(lines().length, 5, 'a platform lacks its layer');
  store(layer);
  t.same(
    lines().map(([reference, , platform]) => [reference, platform]),
    [
      [other, undefined],
      ['latest', 'linux/arm64'],
      ['gone', undefined],
    ],
  );
  store(other);
  t.equal(lines().length, 2);
  t.equal(misses.lines, 2, 'what has left is not kept');
});

t.test(
  'neither memory nor table grow without bound: who was asked for longest ago is given up',
  async (t) => {
    const { misses, lines } = open(t);
    for (let n = 0; n < 20_000; n++) misses.note(miss(`v${n}`), n);
    t.equal(misses.takeDropped(), 10_000);
    t.equal(misses.takeDropped(), 0);
    misses.flush();
    t.equal(misses.lines, 100);
    const found = lines();
    t.same([found.length, found[0]?.[0], found.at(-1)?.[0]], [100, 'v19999', 'v19900']);
    misses.note(miss('v19900'), 20_000);
    misses.note(miss('new'), 20_001);
    t.same([lines()[1]?.slice(0, 1), lines().length], [['v19900'], 100]);
    t.notOk(lines().some(([reference]) => reference === 'v19901'));
  },
);

t.test('a list of full length is written at once, and read again', async (t) => {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const catalog = new Catalog(database, () => undefined);
  const misses = new Misses({ database, catalog });
  for (let n = 0; n < 20_000; n++) {
    misses.note(miss(digestOf(`blob ${n}`), 'blob'), n);
    if (n % 7_000 === 0) misses.flush();
  }
  misses.flush();
  t.equal(misses.lines, 10_000);
  t.equal([...misses.list()].length, 10_000);
  t.equal(new Misses({ database, catalog }).lines, 10_000, 'as the next process finds it');
});

t.test('what was noted is written in steps, and what is noted between them is not lost', async (t) => {
  const { misses, lines } = open(t);
  for (const tag of ['a', 'b', 'c']) misses.note(miss(tag), 1);
  t.equal(misses.flush(2), true);
  t.equal(misses.lines, 2);
  misses.note(miss('a'), 2);
  t.equal(misses.flush(2), false);
  t.equal(misses.flush(2), false);
  t.same(
    lines().map(([reference, , , count]) => [reference, count]),
    [
      ['a', 2],
      ['c', 1],
      ['b', 1],
    ],
  );
});

t.test('more than one page, and lines that leave while it is read', async (t) => {
  const { misses } = open(t, { maxLines: 3_000 });
  for (let n = 0; n < 2_500; n++) misses.note(miss(`v${n}`), 7); // all at the same time
  misses.flush();
  const list = misses.list();
  t.ok(list.next().value);
  misses.clear();
  t.ok([...list].length < 2_500, 'a page at most');
  t.equal(misses.lines, 0);
  for (let n = 0; n < 2_500; n++) misses.note(miss(`v${n}`), 7);
  t.equal(new Set([...misses.list()].map(({ reference }) => reference)).size, 2_500);
});

t.test(
  'what could not be written is written the next time, and what is there is read meanwhile',
  async (t) => {
    const { database, misses, store, lines } = open(t);
    const digest = digestOf('here by now');
    misses.note(miss(digest, 'blob'), 1);
    misses.flush();
    store(digest);
    database.exec('PRAGMA query_only = ON');
    misses.note(miss('3.20'), 1);
    t.throws(() => misses.flush());
    t.same(lines(), [], 'what is here is left out, though it cannot be taken off');
    database.exec('PRAGMA query_only = OFF');
    t.same(lines(), [['3.20', 'manifest', undefined, 1]]);
  },
);

t.test('a layer of very many images: the one that the repository holds', (t) => {
  const { database, misses, store, setTag, lines } = open(t);
  const link = database.prepare("INSERT INTO links VALUES (?, 0, ?, 'layer', 10, 0, NULL)");
  for (let n = 0; n < 1000; n++) link.run(digestOf(`of another repository ${n}`), layer);
  for (const [digest, manifest] of [
    [index, indexManifest],
    [amd64, imageManifest],
  ] as const)
    store(digest, manifest);
  setTag('3.20', index);
  misses.note(miss(layer, 'blob'), 1_000);
  t.same(lines(), [['3.20', 'manifest', 'linux/amd64', 1]]);
  t.end();
});

t.test('referrers that are here by now', (t) => {
  const { misses, store, setTag, lines } = open(t);
  const signature = digestOf('signature');
  for (const subject of [amd64, arm64, config]) misses.note(miss(subject, 'referrers'), 1_000);
  t.equal(lines().length, 3);
  const subject = child(amd64, 'subject');
  store(signature, { ...imageManifest, subject });
  store(index, indexManifest);
  setTag(arm64.replace(':', '-'), index);
  t.same(lines(), [[config, 'referrers', undefined, 1]]);
  t.end();
});
