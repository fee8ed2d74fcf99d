/** A bundle goes into container engines without hubcap: `docker load`, `podman load`, `ctr images import`, skopeo. */

import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { makeStick, startOutside } from '../helpers/engines/air-gap.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { dockerNeeds, startDockerd } from '../helpers/engines/dockerd.ts';
import { type Image, type ImageSpec, platformOf } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';
import { stackNeeds } from '../helpers/engines/stack.ts';

/** Nobody listens there: what a bundle lacks cannot be had. */
const nowhere = '127.0.0.1:9';
const base = { seed: 'base', bytes: 3_000_000 };
const architectures = ['amd64', 'arm64'];
/** Three repositories with the same tag, and one that has a second; of the indexes one platform is carried. */
const pushes: [repository: string, ImageSpec][] = [
  ['library/web', { format: 'oci', tag: '1', layers: [base, { seed: 'web', bytes: 50_000 }], architectures }],
  ['library/web', { format: 'oci', tag: '2', layers: [base, { seed: 'newer', bytes: 50_000 }] }],
  ['acme/app', { format: 'docker', tag: '1', layers: [base, { seed: 'app', bytes: 9000 }], architectures }],
  ['acme/tools', { format: 'docker', tag: '1', layers: [base] }],
];

interface Carried {
  /** `library/web:1` */
  name: string;
  image: Image;
}

/** Writes `one platform.tar` and `all platforms.tar`. */
async function makeBundles(t: Test, stick: (name: string) => string): Promise<Carried[]> {
  const { stack, commands, stop } = await startOutside(t);
  const carried: Carried[] = [];
  for (const [repository, spec] of pushes)
    carried.push({ name: `${repository}:${spec.tag}`, image: await stack.push(repository, spec) });
  const names = carried.map(({ name }) => name);
  await commands.run('prewarm', ...names, '--platform', 'all');
  await commands.run('export', '-o', stick('all platforms.tar'), ...names);
  await commands.run('export', '-o', stick('one platform.tar'), '--platform', 'linux/amd64', ...names);
  await stop();
  return carried;
}

t.test('a bundle of several repositories', async (t) => {
  if (!needs(t, ...stackNeeds)) return;
  const stick = await makeStick(t);
  const carried = await makeBundles(t, stick);

  t.test('docker load takes a bundle', async (t) => {
    if (!needs(t, ...dockerNeeds)) return;
    const { docker } = await startDockerd(t, {});
    await docker('load', '--quiet', '--input', stick('one platform.tar'));
    for (const { name, image } of carried) {
      const familiar = name.replace(/^library\//, '');
      const [found] = JSON.parse(await docker('image', 'inspect', familiar));
      const { config, layers } = platformOf(image, 'amd64');
      t.match(
        found,
        {
          Id: config.digest,
          RepoTags: [familiar],
          RootFS: { Layers: layers.map(({ diffId }) => diffId) },
          Architecture: 'amd64',
        },
        name,
      );
    }
    t.equal((await docker('image', 'ls', '--quiet')).split('\n').length, carried.length);
  });

  t.test('podman load takes a bundle', async (t) => {
    if (!needs(t, ...podmanNeeds)) return;
    const podman = await makePodman(t, nowhere);
    await podman('load', '--quiet', '--input', stick('one platform.tar'));
    for (const { name, image } of carried) {
      const [found] = JSON.parse(await podman('image', 'inspect', `docker.io/${name}`));
      const { config, layers } = platformOf(image, 'amd64');
      t.equal(`sha256:${found.Id}`, config.digest, name);
      t.strictSame(
        found.RootFS.Layers,
        layers.map(({ diffId }) => diffId),
      );
    }
  });

  /** Of an index `--all-platforms` wants all: that a bundle has but one of them is no reason for it to be content. */
  for (const [flags, what] of [
    [[], 'one platform'],
    [['--all-platforms'], 'all platforms'],
  ] as const) {
    t.test(`ctr images import ${flags.join(' ')} takes a bundle with ${what}`, async (t) => {
      if (!needs(t, ...containerdNeeds)) return;
      const { ctr } = await startContainerd(t, `http://${nowhere}`);
      await ctr('images', 'import', '--snapshotter=native', ...flags, stick(`${what}.tar`));
      const listed = (await ctr('images', 'ls')).split('\n').slice(1);
      t.equal(listed.length, carried.length, 'each image once');
      const content = new Set((await ctr('content', 'ls', '--quiet')).split('\n'));
      for (const { name, image } of carried) {
        const line = listed.find((one) => one.startsWith(`docker.io/${name} `));
        t.match(line, image.digest, name);
        const wanted = flags.length === 0 ? [platformOf(image, 'amd64')] : image.platforms;
        for (const { digest, config, layers } of wanted)
          for (const one of [digest, config.digest, ...layers.map(({ digest }) => digest)])
            t.ok(content.has(one), `${name} has ${one}`);
      }
    });
  }

  t.test('skopeo reads each image of a bundle by its name', async (t) => {
    if (!needs(t, ...skopeoNeeds)) return;
    const skopeo = await makeSkopeo(t);
    for (const { name, image } of carried) {
      // In a layout containers/image 5.23 passes over manifests in Docker's types; beside it is what `docker load` reads.
      const isOci = image.mediaType.includes('.oci.');
      const from = `${isOci ? 'oci-archive' : 'docker-archive'}:${stick('one platform.tar')}:docker.io/${name}`;
      const platform = platformOf(image, 'amd64');
      if (isOci) {
        t.equal(await skopeo('inspect', '--raw', from), image.content.toString(), `${name}, byte for byte`);
        const { Digest, Layers } = JSON.parse(await skopeo('inspect', from));
        const layers = platform.layers.map(({ digest }) => digest);
        t.strictSame({ Digest, Layers }, { Digest: image.digest, Layers: layers });
      }
      const target = stick(name.replace(/\W/g, '-'));
      await skopeo('copy', from, `dir:${target}`);
      const copied = JSON.parse(await readFile(`${target}/manifest.json`, 'utf8'));
      t.equal(copied.config.digest, platform.config.digest, `${name} is copied`);
    }
  });
});
