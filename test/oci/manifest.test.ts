import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { defaultPlatformManifest, parseManifest } from '../../src/oci/manifest.ts';
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip';
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('config'), size: 6 };
const layer = { mediaType: layerType, digest: digestOf('layer'), size: 5 };
const bytes = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));

t.test('a single manifest', async (t) => {
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer, layer] };
  t.strictSame(parseManifest(bytes(document), OCI_MANIFEST), {
    mediaType: OCI_MANIFEST,
    isIndex: false,
    children: [
      { role: 'config', ...config, foreign: false },
      { role: 'layer', ...layer, foreign: false },
      { role: 'layer', ...layer, foreign: false },
    ],
  });
});

t.test('an index', async (t) => {
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' };
  const manifests = [
    { mediaType: OCI_MANIFEST, digest: digestOf('a'), size: 1, platform },
    { mediaType: OCI_MANIFEST, digest: digestOf('b'), size: 2, platform: { os: 'unknown' } },
  ];
  const index = parseManifest(bytes({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }), undefined);
  t.strictSame(index?.children, [
    {
      role: 'manifest',
      mediaType: OCI_MANIFEST,
      digest: digestOf('a'),
      size: 1,
      foreign: false,
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    },
    { role: 'manifest', mediaType: OCI_MANIFEST, digest: digestOf('b'), size: 2, foreign: false },
  ]);
  t.equal(index?.isIndex, true);
});

t.test('the type', async (t) => {
  const cases: [what: string, document: object, sent: string | undefined, type: string | undefined][] = [
    ['as the document says', { mediaType: DOCKER_MANIFEST }, OCI_INDEX, DOCKER_MANIFEST],
    ['as the header says', {}, DOCKER_LIST, DOCKER_LIST],
    ['with parameters', {}, `${OCI_INDEX.toUpperCase()} ; charset=utf-8`, OCI_INDEX],
    ['a document type that is none', { mediaType: 'text/html' }, OCI_MANIFEST, OCI_MANIFEST],
    ['a document type that is no text', { mediaType: 7 }, OCI_MANIFEST, OCI_MANIFEST],
    ['an index by its shape', { schemaVersion: 2, manifests: [] }, 'application/json', OCI_INDEX],
    ['a manifest by its shape', { schemaVersion: 2, layers: [] }, undefined, OCI_MANIFEST],
    ['schema 1', { schemaVersion: 1, fsLayers: [], history: [] }, 'application/json', SCHEMA1],
    ['an error with status 200', { errors: [{ code: 'DENIED' }] }, 'application/json', undefined],
    ['another JSON document', { schemaVersion: 2 }, 'application/json', undefined],
    ['another version', { schemaVersion: '2', layers: [] }, undefined, undefined],
  ];
  for (const [what, document, sent, type] of cases) {
    t.equal(parseManifest(bytes(document), sent)?.mediaType, type, what);
  }
});

t.test('schema 1 names no content by digest', async (t) => {
  const fsLayers = [{ blobSum: digestOf('layer') }];
  t.same(parseManifest(bytes({ schemaVersion: 1, fsLayers }), undefined)?.children, []);
});

t.test('foreign layers', async (t) => {
  const foreign = (extra: object) => {
    const document = { schemaVersion: 2, layers: [{ ...layer, ...extra }] };
    return parseManifest(bytes(document), OCI_MANIFEST)?.children[0]?.foreign;
  };
  t.equal(foreign({}), false);
  t.equal(foreign({ urls: [] }), false);
  t.equal(foreign({ urls: ['http://169.254.169.254/'] }), true);
  t.equal(foreign({ mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }), true);
  t.equal(foreign({ mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' }), true);
});

t.test('a subject is named, and no part of the pull', async (t) => {
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf('subject'), size: 7 };
  const parsed = parseManifest(bytes({ mediaType: OCI_MANIFEST, config, layers: [], subject }), undefined);
  t.equal(parsed?.subject?.digest, subject.digest);
  t.same(
    parsed?.children.map(({ role }) => role),
    ['config'],
  );
});

t.test('descriptors that are none are left out, the others stay', async (t) => {
  const bad: unknown[] = [
    ...[null, 1, 'x', [], {}, { size: 1 }, { digest: layer.digest }],
    ...[-1, 1.5, '5', null, 2 ** 53, Number.MAX_VALUE].map((size) => ({ ...layer, size })),
    ...['', 'sha256:x', '../../etc', 7, null, `sha256:${'A'.repeat(64)}`].map((digest) => ({
      ...layer,
      digest,
    })),
  ];
  for (const entry of bad) {
    const parsed = parseManifest(
      bytes({ mediaType: OCI_MANIFEST, config: entry, layers: [entry, layer] }),
      '',
    );
    t.same(
      parsed?.children.map(({ digest }) => digest),
      [layer.digest],
      JSON.stringify(entry),
    );
  }
  for (const layers of [null, 1, {}, 'x']) {
    t.same(parseManifest(bytes({ mediaType: OCI_MANIFEST, layers }), undefined)?.children, []);
  }
});

t.test('what is no manifest', async (t) => {
  const bodies = ['', 'null', '[]', '"x"', '1', '{', '<html><body>login</body></html>', '{"a":1}x'];
  for (const body of bodies) t.equal(parseManifest(Buffer.from(body), OCI_MANIFEST), undefined, body);
  t.equal(parseManifest(Buffer.from([0xff, 0xfe, 0x00]), OCI_MANIFEST), undefined);
});

t.test('hostile JSON is refused or read, and neither takes long nor throws', async (t) => {
  const size = 4 * 1024 * 1024;
  const nested = `{"mediaType":"${OCI_MANIFEST}","config":${'['.repeat(200_000)}${']'.repeat(200_000)},"layers":[]}`;
  const startMs = performance.now();
  for (const body of ['['.repeat(size), '{"a":'.repeat(size / 5), nested]) {
    t.doesNotThrow(() => parseManifest(Buffer.from(body), OCI_MANIFEST));
  }
  const keys = '{"__proto__":{"mediaType":"x"},"constructor":1,"layers":{"__proto__":[]},"schemaVersion":2}';
  t.equal(parseManifest(Buffer.from(keys), undefined), undefined);
  t.equal(({} as Record<string, unknown>).mediaType, undefined, 'no prototype was changed');
  t.ok(performance.now() - startMs < 5_000);
});

t.test('bytes from the middle of a larger buffer', async (t) => {
  const whole = Buffer.concat([
    Buffer.from('{{{'),
    bytes({ mediaType: OCI_MANIFEST, config }),
    Buffer.from('}'),
  ]);
  t.equal(parseManifest(new Uint8Array(whole).subarray(3, -1), undefined)?.children.length, 1);
});

t.test('the default platform', async (t) => {
  const entry = (name: string, os: string, architecture: string) => {
    return { mediaType: OCI_MANIFEST, digest: digestOf(name), size: 1, platform: { os, architecture } };
  };
  const pick = (manifests: object[]) => {
    const index = parseManifest(bytes({ mediaType: OCI_INDEX, manifests }), undefined);
    return index && defaultPlatformManifest(index)?.digest;
  };
  const others = [
    entry('w', 'windows', 'amd64'),
    entry('a', 'linux', 'arm64'),
    entry('u', 'unknown', 'unknown'),
  ];
  t.equal(pick([...others, entry('l', 'linux', 'amd64'), entry('m', 'linux', 'amd64')]), digestOf('l'));
  t.equal(pick(others), undefined);
});
