import t from 'tap';
import type { ArchivedImage } from '../../../src/airgap/archive-content.ts';
import { ArchiveError } from '../../../src/airgap/archives/archive-error.ts';
import type { BundleIndex } from '../../../src/airgap/archives/bundle-index.ts';
import { readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { readImages } from '../../../src/airgap/archives/read-images.ts';
import { planBundle, writeBundle } from '../../../src/airgap/archives/write-bundle.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { parseFullName } from '../../../src/oci/image-name.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.ts';
import { collect, inPieces, MemoryContent } from './memory-content.ts';
import { indexImage, signatureOf, singleImage } from './sample-images.ts';

const LIMITS = { maxBytes: 1e9, maxEntries: 1000 };
const NOTHING: ReadonlySet<Digest> = new Set();

async function bundleOf(
  images: readonly ArchivedImage[],
  content: MemoryContent,
  since = NOTHING,
): Promise<Buffer> {
  const plan = await planBundle(images, since, content);
  const bytes = await collect(writeBundle(plan, content));
  t.equal(bytes.length, plan.size, 'the size was known before');
  return bytes;
}

function read(bytes: Buffer, sink: MemoryContent, onBundle?: (index: BundleIndex) => void) {
  return readImages(readArchive(inPieces(bytes, 777), LIMITS), sink, onBundle ? { onBundle } : {});
}

function sampleImages(content: MemoryContent): ArchivedImage[] {
  const app = singleImage(content, 'ghcr.io/owner/app:1', { layers: ['base', 'b'] });
  return [
    indexImage(content, 'alpine:3.20', {
      layers: ['base', 'a'],
      architectures: ['arm64', 'amd64', 's390x'],
      carried: ['arm64', 'amd64'],
    }),
    app,
    singleImage(content, 'docker.io/someone/app:latest', { layers: ['base', 'c'], algorithm: 'sha512' }),
    { ...app, name: singleImage(content, `ghcr.io/owner/app@${app.digest}`, { layers: ['base', 'b'] }).name },
  ];
}

/** Adds what a signature is: a manifest that says what it refers to. */
function addReferrer(
  content: MemoryContent,
  image: ArchivedImage,
  subject: { digest: Digest },
  text: string,
): Digest {
  const config = content.add('{}');
  const layer = content.add(text);
  const manifest = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: 'application/vnd.example.signature',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', ...config },
      layers: [{ mediaType: 'text/plain', ...layer }],
      subject: { mediaType: OCI_MANIFEST, digest: subject.digest, size: content.sizeOf(subject.digest) },
    }),
  );
  image.referrers.push(manifest.digest);
  image.contents.push(
    { ...manifest, kind: 'manifest' },
    { ...config, kind: 'blob' },
    { ...layer, kind: 'blob' },
  );
  return manifest.digest;
}

const byName = (a: ArchivedImage, b: ArchivedImage) =>
  JSON.stringify(a.name).localeCompare(JSON.stringify(b.name));

t.test('what is written is what is read', async (t) => {
  const content = new MemoryContent();
  const images = sampleImages(content);
  const bytes = await bundleOf(images, content);
  const sink = new MemoryContent();
  let told: BundleIndex | undefined;
  const {
    images: found,
    kind,
    notes,
    requires,
  } = await read(bytes, sink, (index) => {
    told = index;
    t.equal(sink.kept.size, 0, 'it is told before any content');
  });
  t.equal(kind, 'bundle');
  t.same(found.toSorted(byName), images.toSorted(byName));
  t.same([notes, requires], [[], []]);
  t.same(new Map([...sink.kept].sort()), new Map([...content.kept].sort()), 'all content, and no other');
  t.equal(
    told?.totalBytes,
    [...content.kept.values()].reduce((sum, { length }) => sum + length, 0),
  );
});

t.test('what is there already is not read again', async (t) => {
  const content = new MemoryContent();
  const bytes = await bundleOf(sampleImages(content), content);
  const sink = new MemoryContent();
  await read(bytes, sink);
  sink.received.length = 0;
  t.equal((await read(bytes, sink)).images.length, 4);
  t.same(sink.received, []);
});

t.test('the same images give the same bytes, in whatever order they are asked for', async (t) => {
  const content = new MemoryContent();
  const images = sampleImages(content);
  const bytes = await bundleOf(images, content);
  const other = new MemoryContent();
  const again = sampleImages(other).reverse();
  t.ok(bytes.equals(await bundleOf(again, other)));
  t.ok(bytes.equals(await bundleOf([...images, ...images], content)), 'nor does it matter to name one twice');
});

t.test('manifests come before what they name, however images share them', async (t) => {
  const content = new MemoryContent();
  const index = indexImage(content, 'z/index:1', {
    layers: ['a'],
    architectures: ['amd64', 'arm64'],
    carried: ['amd64', 'arm64'],
  });
  const child = singleImage(content, 'a/child:1', { layers: ['a'] });
  t.ok(
    index.contents.some(({ digest }) => digest === child.digest),
    'it is a platform of the index',
  );
  const { contents } = await planBundle([child, index], NOTHING, content);
  const at = (digest: Digest | undefined) => contents.findIndex((each) => each.digest === digest);
  t.ok(at(index.digest) < at(child.digest));
  t.same(
    contents.map(({ kind }) => kind),
    ['manifest', 'manifest', 'manifest', 'blob', 'blob', 'blob'],
  );
});

t.test('one name cannot stand for two images', async (t) => {
  const content = new MemoryContent();
  const images = [
    singleImage(content, 'a/b:1', { layers: ['x'] }),
    singleImage(content, 'a/b:1', { layers: ['y'] }),
  ];
  await t.rejects(planBundle(images, NOTHING, content), /docker.io\/a\/b:1 is asked for twice/);
});

t.test('more images than one bundle takes are refused, and whoever asks is told so', async (t) => {
  const content = new MemoryContent();
  const image = singleImage(content, undefined, { layers: ['x'] });
  const images = Array.from({ length: 20_000 }, (_, at) => ({
    ...image,
    name: parseFullName(`registry.example.test/team/app:${at}`),
  }));
  await t.rejects(planBundle(images, NOTHING, content), {
    name: 'RefusedError',
    message: /export them in parts/,
  });
});

t.test('a delta carries what is new, and says what it needs', async (t) => {
  const content = new MemoryContent();
  const first = singleImage(content, 'a/b:1', { layers: ['base', 'one'] });
  const second = singleImage(content, 'a/b:2', { layers: ['base', 'two'] });
  const since = new Set(first.contents.map(({ digest }) => digest));
  const base = await bundleOf([first], content);
  const delta = await bundleOf([first, second], content, since);
  const shared = second.contents.filter(({ digest }) => since.has(digest));
  t.equal(shared.length, 1, 'the base layer');

  const empty = new MemoryContent();
  await t.rejects(read(delta, empty), /the bundle: needs 4 blobs .* import the bundle/);
  const inside = new MemoryContent();
  await read(base, inside);
  const { images, requires } = await read(delta, inside);
  t.same(images, [first, second]);
  t.same(requires.map(({ digest }) => digest).sort(), [...since].sort());
});

t.test('signatures travel with what they sign, and so do the signatures of those', async (t) => {
  const content = new MemoryContent();
  const image = singleImage(content, 'a/b:1', { layers: ['x'] });
  const sbom = addReferrer(content, image, image, 'sbom');
  addReferrer(content, image, { digest: sbom }, 'signature');
  const { images } = await read(await bundleOf([image], content), new MemoryContent());
  t.same(images[0]?.referrers, image.referrers);
  t.same(images, [{ ...image, contents: images[0]?.contents }]);
  t.same(new Set(images[0]?.contents), new Set(distinct(image.contents)));
});

function distinct<T extends { digest: Digest }>(contents: readonly T[]): T[] {
  return [...new Map(contents.map((each) => [each.digest, each])).values()];
}

t.test('what engines cannot run is not listed for them, and comes across all the same', async (t) => {
  const content = new MemoryContent();
  const image = singleImage(content, 'a/b:1', { layers: ['x'] });
  const signature = signatureOf(content, image);
  const listed = async (images: ArchivedImage[]) => {
    const { documents } = await planBundle(images, NOTHING, content);
    const document = (name: string) => JSON.parse(String(documents.find(({ path }) => path === name)?.body));
    return [document('index.json').manifests.length, document('manifest.json').length];
  };
  t.same(await listed([image, signature]), [1, 1]);
  t.same(await listed([signature]), [1, 0], 'for skopeo, where there is nothing else');
  for (const images of [[image, signature], [signature]]) {
    const bytes = await bundleOf(images, content);
    t.same((await read(bytes, new MemoryContent())).images.toSorted(byName), images.toSorted(byName));
  }
  const since = new Set([signature.digest]);
  await t.rejects(
    read(await bundleOf([image, signature], content, since), new MemoryContent()),
    /the bundle: needs 1 blob/,
  );
});

t.test('an index of indexes is listed as the image that it is', async (t) => {
  const content = new MemoryContent();
  const inner = indexImage(content, undefined, {
    layers: ['x'],
    architectures: ['arm64'],
    carried: ['arm64'],
  });
  const outer = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ mediaType: OCI_INDEX, digest: inner.digest, size: content.sizeOf(inner.digest) }],
    }),
  );
  const contents = [{ ...outer, kind: 'manifest' as const }, ...inner.contents];
  const image = { ...inner, ...outer, name: parseFullName('a/nested:1'), contents };
  const { documents } = await planBundle([image], NOTHING, content);
  t.match(
    String(documents.find(({ path }) => path === 'manifest.json')?.body),
    /"RepoTags":\["docker.io\/a\/nested:1"\]/,
  );
  const { images } = await read(await bundleOf([image], content), new MemoryContent());
  t.same(
    images.map((each) => [each.digest, each.platforms, each.contents]),
    [[outer.digest, ['linux/arm64'], contents]],
  );
});

t.test('what a listener throws ends the reading', async (t) => {
  const content = new MemoryContent();
  const sink = new MemoryContent();
  const bytes = await bundleOf(sampleImages(content), content);
  const refuse = () => {
    throw new Error('too big');
  };
  await t.rejects(read(bytes, sink, refuse), { message: 'too big' });
  t.equal(sink.kept.size, 0);
});

t.test('a bundle is not believed', async (t) => {
  const content = new MemoryContent();
  const image = indexImage(content, 'a/b:1', {
    layers: ['x'],
    architectures: ['amd64', 'arm64'],
    carried: ['amd64'],
  });
  const stranger = singleImage(content, 'c/d:1', { layers: ['y'] });
  const plan = await planBundle([image], NOTHING, content);
  const forge = async (
    change: (index: Record<string, unknown> & { images: Record<string, unknown>[] }) => void,
  ) => {
    const documents = plan.documents.map(({ path, body }) => {
      if (path !== 'hubcap.json') return { path, body };
      const document = JSON.parse(body.toString());
      change(document);
      return { path, body: Buffer.from(JSON.stringify(document)) };
    });
    return collect(writeBundle({ ...plan, documents }, content));
  };
  const cases: [what: string, change: Parameters<typeof forge>[0], wanted: RegExp][] = [
    [
      'bytes',
      (index) => Object.assign(index, { totalBytes: 5 }),
      /announces 5 bytes of content, and the archive has more/,
    ],
    [
      'more bytes',
      (index) => Object.assign(index, { totalBytes: 5_000_000 }),
      /announces 5000000 bytes of content, and the archive has \d+/,
    ],
    ['another version', (index) => Object.assign(index, { version: 2 }), /made by a later hubcap/],
    [
      'another name',
      ({ images }) => Object.assign(images[0] ?? {}, { name: 'docker.io/x/y:1' }),
      /do not list the same images/,
    ],
    [
      'no name',
      ({ images }) => Object.assign(images[0] ?? {}, { name: undefined }),
      /do not list the same images/,
    ],
    [
      'a bad name',
      ({ images }) => Object.assign(images[0] ?? {}, { name: '/etc' }),
      /images.0.name: not a name/,
    ],
    [
      'another digest',
      ({ images }) => Object.assign(images[0] ?? {}, { digest: stranger.digest }),
      /do not list the same/,
    ],
    [
      'no digest',
      ({ images }) => Object.assign(images[0] ?? {}, { digest: 'sha256:../..' }),
      /images.0.digest: not a digest/,
    ],
    ['no image', (index) => Object.assign(index, { images: [] }), /do not list the same images/],
    ['one image twice', ({ images }) => images.push(...images), /do not list the same images/],
    [
      'a platform that is not there',
      ({ images }) => Object.assign(images[0] ?? {}, { platforms: ['linux/amd64', 'linux/arm64'] }),
      /announces linux\/arm64 of docker.io\/a\/b:1, which is not whole/,
    ],
    [
      'a referrer that is not there',
      ({ images }) => Object.assign(images[0] ?? {}, { referrers: [stranger.digest] }),
      /docker.io\/a\/b:1: needs 1 blob/,
    ],
    [
      'a referrer that is none',
      ({ images }) => Object.assign(images[0] ?? {}, { referrers: [image.contents[1]?.digest] }),
      /as a referrer of docker.io\/a\/b:1, which it is not/,
    ],
    [
      'depth',
      (index) => Object.assign(index, { deep: JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`) }),
      /nested more than 32 deep/,
    ],
  ];
  for (const [what, change, wanted] of cases) {
    const bytes = await forge(change);
    const failure = await read(bytes, new MemoryContent()).then(
      () => undefined,
      (error) => error,
    );
    t.ok(failure instanceof ArchiveError, what);
    t.match(failure?.message, wanted, what);
  }
  t.equal(
    (await read(await forge(() => undefined), new MemoryContent())).images.length,
    1,
    'unchanged it is taken',
  );
});

t.test('content that is not what it should be ends the writing', async (t) => {
  const content = new MemoryContent();
  const image = singleImage(content, 'a/b:1', { layers: ['x'] });
  const plan = await planBundle([image], NOTHING, content);
  for (const wrong of ['', 'x'.repeat(5000)]) {
    const blob = plan.contents.at(-1);
    if (blob) content.kept.set(blob.digest, Buffer.from(wrong));
    await t.rejects(collect(writeBundle(plan, content)), /has not the \d+ bytes/);
  }
});
