import { gzipSync, zstdCompressSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { ArchiveError } from '../../../src/airgap/archives/archive-error.ts';
import { readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { type ReadImages, readImages } from '../../../src/airgap/archives/read-images.ts';
import { digestOf, hexOf } from '../../../src/oci/digest.ts';
import { fullNameText } from '../../../src/oci/image-name.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.ts';
import { inPieces, MemoryContent } from './memory-content.ts';
import { type RawEntry, rawTar } from './raw-tar.ts';
import { addManifest, configOf, indexImage, tarOf } from './sample-images.ts';

const LIMITS = { maxBytes: 1e8, maxEntries: 2000 };

function read(archive: Buffer, sink = new MemoryContent()): Promise<ReadImages> {
  return readImages(readArchive(inPieces(archive, 5000), LIMITS), sink);
}

function namesOf({ images }: ReadImages): (string | undefined)[] {
  return images.map(({ name }) => name && fullNameText(name));
}

async function expectRefused(
  t: Test,
  archive: Buffer,
  wanted: RegExp,
  what: string,
  sink?: MemoryContent,
): Promise<void> {
  const failure = await read(archive, sink).then(
    () => new Error('it was taken'),
    (error) => error,
  );
  t.ok(failure instanceof ArchiveError, `${what}: ${failure.message}`);
  t.match(failure.message, wanted, what);
}

const hex = (bytes: Buffer): string => hexOf(digestOf(bytes));
const json = (path: string, document: unknown): RawEntry => ({ path, body: JSON.stringify(document) });
const blob = (body: Buffer): RawEntry => ({ path: `blobs/sha256/${hex(body)}`, body });

const base = tarOf({ 'etc/os-release': 'sample' });
const top = tarOf({ app: 'of mine' });
const config = configOf([base, top, base]);
const [oldBase, oldTop, oldAgain] = ['1'.repeat(64), '2'.repeat(64), '3'.repeat(64)];

/** As Docker 20 writes it: a directory for each layer, a layer that is there already as a link, the manifest last. */
function dockerTwenty(manifest: object = {}, changes: readonly RawEntry[] = []): RawEntry[] {
  const entries: RawEntry[] = [
    ...[oldBase, oldTop, oldAgain].flatMap((id): RawEntry[] => [
      { path: `${id}/`, type: '5' },
      { path: `${id}/VERSION`, body: '1.0' },
      { path: `${id}/json`, body: `{"id":"${id}"}` },
    ]),
    { path: `${oldBase}/layer.tar`, body: base },
    { path: `${oldTop}/layer.tar`, body: top },
    { path: `${oldAgain}/layer.tar`, type: '2', link: `../${oldBase}/layer.tar` },
    { path: `${hex(config)}.json`, body: config },
    json('manifest.json', [
      {
        Config: `${hex(config)}.json`,
        RepoTags: ['alpine:3.20', 'registry.example:5000/team/alpine:old'],
        Layers: [oldBase, oldTop, oldAgain].map((id) => `${id}/layer.tar`),
        ...manifest,
      },
    ]),
    json('repositories', { alpine: { '3.20': oldAgain } }),
  ];
  const changed = new Map(changes.map((entry) => [entry.path, entry]));
  return entries.map((entry) => changed.get(entry.path) ?? entry);
}

/** As podman writes it: layers and the configuration by their digests, links for the readers of old archives. */
function podman(manifest: object = {}): RawEntry[] {
  return [
    { path: `${hex(base)}.tar`, body: base },
    { path: `${oldBase}/VERSION`, body: '1.0' },
    { path: `${oldBase}/layer.tar`, type: '2', link: `../${hex(base)}.tar` },
    { path: `${oldBase}/json`, body: '{}' },
    { path: `${hex(top)}.tar`, body: top },
    { path: `${oldTop}/layer.tar`, type: '2', link: `../${hex(top)}.tar` },
    { path: `${hex(config)}.json`, body: config },
    json('repositories', {}),
    json('manifest.json', [
      {
        Config: `${hex(config)}.json`,
        RepoTags: ['localhost/mine:1'],
        Layers: [base, top, base].map((layer) => `${hex(layer)}.tar`),
        ...manifest,
      },
    ]),
  ];
}

t.test('docker save before 25', async (t) => {
  const sink = new MemoryContent();
  const found = await read(rawTar(...dockerTwenty()), sink);
  t.same([found.kind, found.notes, found.requires], ['docker-archive', [], []]);
  t.same(namesOf(found), ['docker.io/library/alpine:3.20', 'registry.example:5000/team/alpine:old']);
  const [image, other] = found.images;
  t.same({ ...other, name: undefined }, { ...image, name: undefined }, 'one image by two names');
  t.ok(image?.isMade);
  t.same(
    image?.contents.map(({ kind }) => kind),
    ['manifest', 'blob', 'blob', 'blob'],
    'the same layer counts once',
  );
  const manifest = image && sink.kept.get(image.digest);
  t.equal(
    String(manifest),
    `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}",` +
      `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"${digestOf(config)}","size":${config.length}},` +
      `"layers":[${[base, top, base].map((layer) => `{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"${digestOf(layer)}","size":${layer.length}}`).join(',')}]}`,
    'the bytes of the manifest are part of the contract: its digest must not change',
  );
});

t.test('the same image from Docker and from podman has the same manifest', async (t) => {
  const [docker, other] = [await read(rawTar(...dockerTwenty())), await read(rawTar(...podman()))];
  t.same(namesOf(other), ['localhost/mine:1']);
  t.equal(other.images[0]?.digest, docker.images[0]?.digest);
  t.same(other.notes, []);
});

t.test('the order of the entries does not matter', async (t) => {
  const wanted = await read(rawTar(...podman()));
  t.same(await read(rawTar(...podman().reverse())), wanted);
  t.same((await read(rawTar(...dockerTwenty().reverse()))).images[0]?.digest, wanted.images[0]?.digest);
});

t.test('compressed layers are carried as they are', async (t) => {
  const [gzip, zstd] = [gzipSync(base), zstdCompressSync(top)];
  const short = configOf([base, top]);
  const layers = [`${hex(gzip)}.tar.gz`, `${hex(zstd)}.tar`];
  const sink = new MemoryContent();
  const { images } = await read(
    rawTar(
      { path: `sha256:${hex(short)}`, body: short },
      { path: layers[0] ?? '', body: gzip },
      { path: layers[1] ?? '', body: zstd },
      json('manifest.json', [{ Config: `sha256:${hex(short)}`, RepoTags: null, Layers: layers }]),
    ),
    sink,
  );
  t.same(
    images.map(({ name, isMade }) => [name, isMade]),
    [[undefined, true]],
  );
  t.match(String(images[0] && sink.kept.get(images[0].digest)), /tar\+gzip.*tar\+zstd/);
});

t.test('archives without manifests that are refused', async (t) => {
  const manifest = (change: object) => rawTar(...dockerTwenty(change));
  const layer = `${oldTop}/layer.tar`;
  const wrong = configOf([top, base, base]);
  const cases: [what: string, archive: Buffer, wanted: RegExp][] = [
    [
      'a layer that is not there',
      manifest({ Layers: ['x/layer.tar'] }),
      /^manifest.json: names x\/layer.tar, which/,
    ],
    [
      'a configuration that is not there',
      manifest({ Config: 'x.json' }),
      /^manifest.json: names x.json, which/,
    ],
    ['a layer outside', manifest({ Layers: ['../../etc/passwd'] }), /leads out of the archive/],
    [
      'a wrong layer',
      rawTar(...dockerTwenty({}, [{ path: layer, body: base }])),
      new RegExp(`^${layer}: is the wrong layer`),
    ],
    ['too few layers', manifest({ Layers: [layer] }), /names 3 layers, and manifest.json names 1/],
    [
      'another configuration',
      rawTar(...dockerTwenty({}, [{ path: `${hex(config)}.json`, body: wrong }])),
      /\.json: its content is sha256:.*forged/,
    ],
    ['a configuration that is none', manifest({ Config: layer }), /is not JSON/],
    [
      'links in a circle',
      rawTar(...dockerTwenty({}, [{ path: layer, type: '2', link: `../${oldTop}/layer.tar` }])),
      /which the archive does not have/,
    ],
    ['no list', rawTar(json('manifest.json', { Config: 'x' })), /^manifest.json: is not what it should be/],
    ['no configuration', manifest({ Config: 7 }), /^manifest.json: is not what it should be at 0.Config/],
    ['no JSON', rawTar({ path: 'manifest.json', body: '[{' }), /^manifest.json: is not JSON/],
    ['no images', rawTar(json('manifest.json', [])), /has no image in it/],
    [
      'deep JSON',
      rawTar({ path: 'manifest.json', body: '['.repeat(100_000) }),
      /^manifest.json: is nested more than 32 deep/,
    ],
    [
      'deep JSON in a configuration',
      rawTar({ path: 'c.json', body: '{"a":'.repeat(9999) }, json('manifest.json', [{ Config: 'c.json' }])),
      /^c.json: is nested more than 32 deep/,
    ],
    [
      'large JSON',
      rawTar({ path: 'manifest.json', body: Buffer.alloc(4 * 2 ** 20 + 1, ' ') }),
      /^manifest.json: has 4194305 bytes/,
    ],
    [
      'a document that is a link',
      rawTar({ path: 'manifest.json', type: '2', link: 'x' }),
      /neither an index.json nor a manifest.json/,
    ],
    ['another archive', rawTar({ path: 'README', body: 'hello' }), /it is no archive of images/],
  ];
  for (const [what, archive, wanted] of cases) await expectRefused(t, archive, wanted, what);
});

t.test('what is no part of an image is noted, and so is a name that is none', async (t) => {
  const { notes, images } = await read(
    rawTar(
      ...dockerTwenty({ RepoTags: ['fine:1', 'Not a name'] }),
      { path: 'README', body: 'hello' },
      { path: 'other.tar', body: 'x' },
    ),
  );
  t.equal(images.length, 1);
  t.same(notes, [
    'README (5 bytes) is no part of an image; it was left out',
    'manifest.json: "Not a name" is no name of an image; it was left out',
    'other.tar (1 bytes) is no part of an image; it was left out',
  ]);
  const strange = { path: 'other\u001b[2J.tar', body: 'x' };
  t.same((await read(rawTar(...podman(), strange))).notes, [
    'other\ufffd[2J.tar (1 bytes) is no part of an image; it was left out',
  ]);
  const many = Array.from({ length: 150 }, (_, at) => ({ path: `README-${at}` }));
  t.match((await read(rawTar(...podman(), ...many))).notes.slice(-1), ['and 50 more of this kind']);
});

const LAYOUT = json('oci-layout', { imageLayoutVersion: '1.0.0' });

/** All content of a layout, as blobs. */
function blobsOf(content: MemoryContent): RawEntry[] {
  return [...content.kept].map(([digest, body]) => ({ path: `blobs/${digest.replace(':', '/')}`, body }));
}

t.test('docker save of 25 and later: a layout, and a manifest.json that has the names', async (t) => {
  const content = new MemoryContent();
  const { digest, size, config, layers } = addManifest(content, { layers: ['a', 'b'] });
  const descriptor = { mediaType: OCI_MANIFEST, digest, size };
  const entries = (annotations: object | undefined, RepoTags: string[] | null) =>
    rawTar(
      { path: 'blobs/', type: '5' },
      { path: 'blobs/sha256/', type: '5' },
      ...blobsOf(content),
      json('index.json', {
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{ ...descriptor, annotations }],
      }),
      json('manifest.json', [
        {
          Config: `blobs/sha256/${hexOf(config.digest)}`,
          RepoTags,
          Layers: layers.map((layer) => `blobs/sha256/${hexOf(layer.digest)}`),
          LayerSources: {},
        },
      ]),
      LAYOUT,
      json('repositories', {}),
    );
  const [full, ref] = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];
  const cases: [
    what: string,
    annotations: object | undefined,
    tags: string[] | null,
    names: (string | undefined)[],
  ][] = [
    [
      'as Docker writes it',
      { [full]: 'docker.io/library/alpine:3.20', [ref]: '3.20' },
      ['alpine:3.20'],
      ['docker.io/library/alpine:3.20'],
    ],
    [
      'a bare tag, and names beside it',
      { [ref]: '3.20' },
      ['alpine:3.20', 'other/alpine:1'],
      ['docker.io/library/alpine:3.20', 'docker.io/other/alpine:1'],
    ],
    ['no annotations at all', undefined, ['alpine:3.20'], ['docker.io/library/alpine:3.20']],
    ['a reference that is a name', { [ref]: 'localhost/mine:1' }, null, ['localhost/mine:1']],
    ['a bare tag alone', { [ref]: 'latest' }, null, [undefined]],
    ['saved by its ID', undefined, null, [undefined]],
  ];
  for (const [what, annotations, tags, names] of cases) {
    const found = await read(entries(annotations, tags));
    t.same([found.kind, namesOf(found), found.notes], ['oci-layout', names, []], what);
    t.same(
      found.images.map((image) => [image.digest, image.isMade, image.platforms]),
      names.map(() => [digest, false, []]),
      what,
    );
  }
});

/** A layout with one image of two platforms, of which `carried` are there. */
function twoPlatforms(carried: readonly string[]) {
  const content = new MemoryContent();
  const image = indexImage(content, undefined, { layers: ['a'], architectures: ['amd64', 'arm64'], carried });
  const descriptor = { mediaType: OCI_INDEX, digest: image.digest, size: content.sizeOf(image.digest) };
  const annotations = { 'org.opencontainers.image.ref.name': 'ghcr.io/o/a:1' };
  const index = { schemaVersion: 2, manifests: [{ ...descriptor, annotations }] };
  return {
    content,
    image,
    index,
    archive: () => rawTar(LAYOUT, json('index.json', index), ...blobsOf(content)),
  };
}

t.test('of an index the platforms that are whole are told', async (t) => {
  for (const carried of [['amd64', 'arm64'], ['arm64']]) {
    const { archive, image } = twoPlatforms(carried);
    const { images, notes } = await read(archive());
    t.same(
      images.map(({ platforms, contents }) => [platforms, contents]),
      [[image.platforms, image.contents]],
    );
    t.same(notes, []);
  }
});

t.test('a platform of which a part is there is noted, and none that is whole is refused', async (t) => {
  const { archive, content, image } = twoPlatforms(['amd64', 'arm64']);
  const arm = image.contents.findLastIndex(({ kind }) => kind === 'manifest');
  const config = image.contents[arm + 1];
  if (config) content.kept.delete(config.digest);
  const { images, notes } = await read(archive());
  t.same(images[0]?.platforms, ['linux/amd64']);
  t.same(notes, ['ghcr.io/o/a:1: linux/arm64 lacks 1 of its parts; it was left out']);
  const other = image.contents[2];
  if (other) content.kept.delete(other.digest);
  await expectRefused(t, archive(), /^ghcr.io\/o\/a:1: needs 2 blobs that neither/, 'none is whole');
  const sink = new MemoryContent();
  for (const each of twoPlatforms(['amd64', 'arm64']).content.kept.values()) sink.add(each);
  t.same(
    (await read(archive(), sink)).images[0]?.platforms,
    ['linux/amd64', 'linux/arm64'],
    'the store has the rest',
  );
});

t.test('platforms without a name, and attestations', async (t) => {
  const content = new MemoryContent();
  const child = (layer: string, platform: object | undefined) => {
    const { digest, size } = addManifest(content, { layers: [layer] });
    return { mediaType: OCI_MANIFEST, digest, size, platform };
  };
  const unknown = { os: 'unknown', architecture: 'unknown' };
  const cases: [what: string, children: object[], platforms: string[]][] = [
    [
      'an attestation',
      [child('a', { os: 'linux', architecture: 'amd64' }), child('b', unknown)],
      ['linux/amd64'],
    ],
    ['no platform', [child('a', undefined)], []],
    ['an empty platform', [child('a', { os: '', architecture: '' })], []],
    ['a platform that would steer a terminal', [child('a', { os: '\u001b[2J', architecture: 'x' })], []],
  ];
  for (const [what, children, platforms] of cases) {
    const index = content.add(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children }),
    );
    const manifests = [{ mediaType: OCI_INDEX, ...index }];
    const { images } = await read(rawTar(LAYOUT, json('index.json', { manifests }), ...blobsOf(content)));
    t.same(
      images.map((image) => image.platforms),
      [platforms],
      what,
    );
    t.equal(images[0]?.contents.filter(({ kind }) => kind === 'manifest').length, children.length + 1, what);
  }
  const alone = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [
        child('b', unknown),
        {
          ...child('c', undefined),
          digest: digestOf('gone'),
          platform: { os: 'linux', architecture: 'arm' },
        },
      ],
    }),
  );
  const manifests = [{ mediaType: OCI_INDEX, ...alone }];
  await expectRefused(
    t,
    rawTar(LAYOUT, json('index.json', { manifests }), ...blobsOf(content)),
    /needs 1 blob that/,
    'an attestation alone is no image',
  );
});

t.test('an index in an index', async (t) => {
  const { content, image, index } = twoPlatforms(['amd64']);
  const outer = content.add(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: index.manifests }),
  );
  const nest = (root: object) =>
    rawTar(
      LAYOUT,
      json('index.json', { manifests: [{ mediaType: OCI_INDEX, ...root }] }),
      ...blobsOf(content),
    );
  const { images } = await read(nest(outer));
  t.same([images[0]?.platforms, images[0]?.contents.slice(1)], [['linux/amd64'], image.contents]);
  let root = outer;
  for (let depth = 0; depth < 4; depth += 1)
    root = content.add(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{ mediaType: OCI_INDEX, ...root }],
      }),
    );
  await expectRefused(t, nest(root), /nested more than 4 indexes deep/, 'too deep');
});

t.test('indexes that name the same over and over are refused, soon and in little memory', async (t) => {
  const content = new MemoryContent();
  const nest = (children: readonly object[], mark: number) => ({
    mediaType: OCI_INDEX,
    ...content.add(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, mark, manifests: children })),
  });
  const leaves = Array.from({ length: 200 }, (_, at) => {
    const { digest, size } = addManifest(content, { layers: [`${at}`] });
    return { mediaType: OCI_MANIFEST, digest, size };
  });
  // Each level names all of the level below: 200 times 200 times 600 contents.
  const middle = Array.from({ length: 200 }, (_, at) => nest(leaves, at));
  const manifests = Array.from({ length: 200 }, (_, at) => nest(middle, at));
  const entries = [LAYOUT, json('index.json', { manifests }), ...blobsOf(content)];
  await expectRefused(
    t,
    rawTar(...entries),
    /name more content than can be looked through/,
    'nested indexes',
  );
});

t.test('images that have the same document read over and over are refused, soon', async (t) => {
  const large = JSON.stringify({
    ...JSON.parse(config.toString()),
    comment: 'x'.repeat(4 * 1024 * 1024 - 2000),
  });
  const images = Array.from({ length: 1000 }, (_, at) => ({
    Config: 'config.json',
    RepoTags: [`a/b:${at}`],
    Layers: ['base.tar', 'top.tar', 'base.tar'],
  }));
  const archive = rawTar(
    { path: 'base.tar', body: base },
    { path: 'top.tar', body: top },
    { path: 'config.json', body: large },
    json('manifest.json', images),
  );
  await expectRefused(t, archive, /name more content than can be looked through/, 'one configuration');
});

t.test('layouts that are refused', async (t) => {
  const { content, image, index } = twoPlatforms(['amd64']);
  const [descriptor] = index.manifests;
  const layout = (manifests: unknown, ...more: RawEntry[]) =>
    rawTar(LAYOUT, json('index.json', { schemaVersion: 2, manifests }), ...blobsOf(content), ...more);
  const two = addManifest(content, { layers: ['other'] });
  const page = content.add('<html>not here</html>');
  const lying = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { digest: image.digest, size: 7, mediaType: 'x' },
      layers: [],
    }),
  );
  const wrong = Buffer.from('wrong');
  const cases: [what: string, archive: Buffer, wanted: RegExp][] = [
    [
      'content that is not what its name says',
      layout([descriptor], { path: `blobs/sha256/${'0'.repeat(64)}`, body: 'x' }),
      /^blobs\/sha256\/0+: its content is sha256:.*forged/,
    ],
    [
      'content without a digest',
      layout([descriptor], { path: 'blobs/sha256/abc', body: 'x' }),
      /^blobs\/sha256\/abc: is not named by a digest/,
    ],
    [
      'an unknown algorithm',
      layout([descriptor], { path: `blobs/md5/${'0'.repeat(32)}`, body: 'x' }),
      /is not named by a digest/,
    ],
    [
      'an image that is not there',
      layout([{ ...descriptor, digest: digestOf(wrong) }]),
      /^ghcr.io\/o\/a:1: needs 1 blob that/,
    ],
    [
      'a wrong size',
      layout([{ ...descriptor, size: 7 }]),
      /has \d+ bytes, and what names it says that it has 7/,
    ],
    [
      'a wrong size in a manifest',
      layout([{ mediaType: OCI_MANIFEST, ...lying }]),
      /has \d+ bytes, and sha256:\w+ says that it has 7/,
    ],
    [
      'a page for a manifest',
      layout([{ mediaType: OCI_MANIFEST, ...page }]),
      /is no manifest that hubcap knows/,
    ],
    [
      'no digest',
      layout([{ ...descriptor, digest: 'sha256:../../etc' }]),
      /^index.json: "sha256:\.\.\/\.\.\/etc" is not a digest/,
    ],
    [
      'a negative size',
      layout([{ ...descriptor, size: -1 }]),
      /^index.json: is not what it should be at manifests.0.size/,
    ],
    [
      'two images of one name',
      layout([descriptor, { ...descriptor, mediaType: OCI_MANIFEST, digest: two.digest, size: two.size }]),
      /^index.json: has two images by the name of ghcr.io\/o\/a:1/,
    ],
    ['no images', layout([]), /has no image in it/],
    [
      'an unknown version',
      rawTar(
        json('oci-layout', { imageLayoutVersion: '2.0.0' }),
        json('index.json', index),
        ...blobsOf(content),
      ),
      /^oci-layout: is not what it should be/,
    ],
  ];
  for (const [what, archive, wanted] of cases) await expectRefused(t, archive, wanted, what);
  const sink = new MemoryContent();
  sink.kept.set(digestOf(wrong), wrong);
  await expectRefused(
    t,
    layout([descriptor], { path: blob(wrong).path, body: 'longer than wrong' }),
    /has 17 bytes, and content of this digest has 5/,
    'another size than the store has',
    sink,
  );
});

t.test('what refers to an image is told with it, and noted where it refers to nothing', async (t) => {
  const { content, image, index } = twoPlatforms(['amd64']);
  const empty = { mediaType: 'application/vnd.oci.empty.v1+json', ...content.add('{}') };
  const sign = (subject: object) =>
    content.add(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: empty, layers: [], subject }),
    );
  const of = sign({ mediaType: OCI_INDEX, digest: image.digest, size: 7 });
  const ofNothing = sign({ mediaType: OCI_INDEX, digest: digestOf('nothing'), size: 7 });
  const manifests = [
    ...index.manifests,
    { mediaType: OCI_MANIFEST, ...of },
    { mediaType: OCI_MANIFEST, ...ofNothing },
  ];
  const { images, notes } = await read(
    rawTar(LAYOUT, json('index.json', { manifests }), ...blobsOf(content)),
  );
  t.same(
    images.map(({ referrers }) => referrers),
    [[of.digest]],
  );
  t.same(
    images[0]?.contents.slice(-2).map(({ digest }) => digest),
    [of.digest, empty.digest],
  );
  t.same(notes, [`${ofNothing.digest} refers to what is not in the archive; it was left out`]);
});
