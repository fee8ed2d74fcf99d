import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { type ReadImages, readImages } from '../../../src/airgap/archives/read-images.ts';
import { planBundle, writeBundle } from '../../../src/airgap/archives/write-bundle.ts';
import { fullNameText } from '../../../src/oci/image-name.ts';
import { containerdNeeds, startContainerd } from '../../helpers/engines/containerd.ts';
import { dockerNeeds, startDockerd } from '../../helpers/engines/dockerd.ts';
import { makeDirectory, needs } from '../../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../../helpers/engines/podman.ts';
import { makeSkopeo, skopeoNeeds } from '../../helpers/engines/skopeo.ts';
import { MemoryContent } from './memory-content.ts';
import { indexImage, signatureOf, singleImage } from './sample-images.ts';

/** Nobody listens there: what is not in the archive cannot be had. */
const NOWHERE = '127.0.0.1:9';
const NAMES = ['docker.io/library/alpine:3.20', 'docker.io/someone/app:latest', 'ghcr.io/owner/app:1'];

/** A bundle of several repositories, with an index of which one platform alone is carried. */
async function writeSample(t: Test): Promise<{ bundle: string; inside: (name: string) => string }> {
  const directory = await makeDirectory(t, 'archives');
  const inside = (name: string) => join(directory, name);
  const content = new MemoryContent();
  const images = [
    indexImage(content, 'alpine:3.20', {
      layers: ['base', 'a'],
      architectures: ['arm64', 'amd64'],
      carried: ['amd64'],
    }),
    singleImage(content, 'someone/app', { layers: ['base', 'b'] }),
    singleImage(content, 'ghcr.io/owner/app:1', { layers: ['base', 'c', 'c'] }),
  ];
  // Every program would fail at a signature that is listed as an image.
  const all = [...images, ...images.map((image) => signatureOf(content, image))];
  const plan = await planBundle(all, new Set(), content);
  await writeFile(inside('bundle.tar'), writeBundle(plan, content));
  return { bundle: inside('bundle.tar'), inside };
}

function read(path: string, sink = new MemoryContent()): Promise<ReadImages> {
  return readImages(readArchive(createReadStream(path), { maxBytes: 1e8, maxEntries: 1000 }), sink);
}

function namesOf({ images }: ReadImages): (string | undefined)[] {
  return images.map(({ name }) => name && fullNameText(name)).sort();
}

/** The images of a bundle without their signatures. */
async function runnableOf(bundle: string): Promise<ReadImages['images']> {
  const { images } = await read(bundle);
  t.equal(images.length, 2 * NAMES.length);
  return images.filter(({ name }) => name && NAMES.includes(fullNameText(name)));
}

/** The manifests that hubcap makes are the same each time, also where a part of them is there already. */
async function expectSameAgain(t: Test, path: string, first: ReadImages): Promise<void> {
  const sink = new MemoryContent();
  t.same((await read(path, sink)).images, first.images);
  t.same((await read(path, sink)).images, first.images);
}

t.test('docker load takes a bundle, and hubcap takes what docker save makes of it', async (t) => {
  if (!needs(t, ...dockerNeeds)) return;
  const { bundle, inside } = await writeSample(t);
  const { docker } = await startDockerd(t, {});
  await docker('load', '--input', bundle);
  const listed = await docker('images', '--format', '{{.Repository}}:{{.Tag}}');
  t.same(listed.split('\n').sort(), ['alpine:3.20', 'ghcr.io/owner/app:1', 'someone/app:latest']);
  await docker('tag', 'alpine:3.20', 'alpine:again');
  const saved = inside('docker.tar');
  await docker(
    'save',
    '--output',
    saved,
    'alpine:3.20',
    'alpine:again',
    'someone/app',
    'ghcr.io/owner/app:1',
  );
  const found = await read(saved);
  t.same(namesOf(found), [
    'docker.io/library/alpine:3.20',
    'docker.io/library/alpine:again',
    ...NAMES.slice(1),
  ]);
  t.same(found.notes, []);
  await expectSameAgain(t, saved, found);
});

t.test('podman load takes a bundle, and hubcap takes what podman save makes of it', async (t) => {
  if (!needs(t, ...podmanNeeds)) return;
  const { bundle, inside } = await writeSample(t);
  const podman = await makePodman(t, NOWHERE);
  await podman('load', '--input', bundle);
  const listed = await podman('images', '--format', '{{.Repository}}:{{.Tag}}');
  t.same(listed.split('\n').sort(), NAMES);
  await podman('save', '--multi-image-archive', '--output', inside('many.tar'), ...NAMES);
  const many = await read(inside('many.tar'));
  t.same([many.kind, namesOf(many), many.notes], ['docker-archive', NAMES, []]);
  await expectSameAgain(t, inside('many.tar'), many);
  for (const [format, kind] of [
    ['docker-archive', 'docker-archive'],
    ['oci-archive', 'oci-layout'],
  ] as const) {
    const path = inside(`${format}.tar`);
    await podman('tag', 'ghcr.io/owner/app:1', 'localhost/own:2');
    await podman('save', '--format', format, '--output', path, 'localhost/own:2');
    const one = await read(path);
    t.same([one.kind, namesOf(one), one.notes], [kind, ['localhost/own:2'], []]);
    await expectSameAgain(t, path, one);
  }
});

t.test('ctr images import takes a bundle, and hubcap takes what ctr images export makes of it', async (t) => {
  if (!needs(t, ...containerdNeeds)) return;
  const { bundle, inside } = await writeSample(t);
  const { ctr } = await startContainerd(t, `http://${NOWHERE}`);
  await ctr('images', 'import', '--snapshotter', 'native', bundle);
  t.same((await ctr('images', 'ls', '--quiet')).split('\n').sort(), NAMES);
  await ctr('images', 'export', inside('ctr.tar'), ...NAMES);
  const found = await read(inside('ctr.tar'));
  t.same([found.kind, namesOf(found), found.notes], ['oci-layout', NAMES, []]);
  t.same(
    found.images.map(({ digest }) => digest).sort(),
    (await runnableOf(bundle)).map(({ digest }) => digest).sort(),
  );
});

t.test('skopeo finds each image of a bundle by its name, and hubcap takes what skopeo writes', async (t) => {
  if (!needs(t, ...skopeoNeeds)) return;
  const { bundle, inside } = await writeSample(t);
  const skopeo = await makeSkopeo(t);
  for (const { name, contents } of await runnableOf(bundle)) {
    const text = name ? fullNameText(name) : '';
    const raw = await skopeo('inspect', '--raw', `oci-archive:${bundle}:${text}`);
    t.equal(Buffer.byteLength(raw), contents[0]?.size, text);
  }
  for (const [format, kind] of [
    ['docker-archive', 'docker-archive'],
    ['oci-archive', 'oci-layout'],
  ] as const) {
    const path = inside(`${format}.tar`);
    await skopeo(
      'copy',
      `oci-archive:${bundle}:ghcr.io/owner/app:1`,
      `${format}:${path}:ghcr.io/owner/app:1`,
    );
    const one = await read(path);
    t.same([one.kind, namesOf(one), one.notes], [kind, ['ghcr.io/owner/app:1'], []]);
    await expectSameAgain(t, path, one);
  }
});
