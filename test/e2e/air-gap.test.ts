/** What a Compose file and Kubernetes manifests name is carried to where no registry is, and pulled there by its usual names. */

import { writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { makeStick, nowhere, type Side, startInside, startOutside } from '../helpers/engines/air-gap.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { type Image, type ImageSpec, platformOf } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { mirrorWithPrefix } from '../helpers/engines/registries-conf.ts';
import { onePull, stackNeeds } from '../helpers/engines/stack.ts';

/** A registry that is not the Hub. */
const other = 'registry.test';
const base = { seed: 'base', bytes: 5_000_000 };
const architectures = ['amd64', 'arm64'];
/** By repository. */
const specs: Record<string, ImageSpec> = {
  'library/web': {
    format: 'oci',
    tag: '1.27',
    layers: [base, { seed: 'web', bytes: 300_000 }],
    architectures,
  },
  'library/db': { format: 'docker', tag: '16.1', layers: [base, { seed: 'db', bytes: 200_000 }] },
  'acme/app': { format: 'docker', tag: '2.0', layers: [base, { seed: 'app', bytes: 9000 }], architectures },
  'acme/migrate': { format: 'oci', tag: 'latest', layers: [base] },
  'acme/backup': { format: 'oci', tag: '3', layers: [{ seed: 'backup', bytes: 1000 }], architectures },
};

/** At the other registry. */
const agent: ImageSpec = {
  format: 'oci',
  tag: '0.9',
  layers: [{ seed: 'agent', bytes: 4000 }],
  architectures,
};

const compose = `
name: shop
x-defaults: &defaults
  restart: unless-stopped
services:
  web:
    <<: *defaults
    image: web:\${WEB_VERSION:-1.27}
  db:
    <<: *defaults
    image: docker.io/library/db:16.1
`;

const manifests = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: app }
spec:
  template:
    spec:
      initContainers:
        - name: migrate
          image: acme/migrate
      containers:
        - name: app
          image: acme/app:2.0
---
apiVersion: v1
kind: Service
metadata: { name: app }
spec: { ports: [{ port: 80 }] }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: backup }
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
            - { name: backup, image: "docker.io/acme/backup:3" }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  template:
    spec:
      containers:
        - { name: agent, image: "${other}/tools/agent:0.9" }
`;

t.test('dockerd, containerd and podman pull what was carried, by tag and by digest', async (t) => {
  if (!needs(t, ...dockerNeeds, ...containerdNeeds, ...podmanNeeds, ...stackNeeds)) return;
  const stick = await makeStick(t);
  const { images, fromOther } = await carry(t, stick);
  const inside = await startInside(t, { upstreams: { [other]: { url: nowhere } } });
  await inside.commands.run('import', stick('bundle.tar'));

  await t.test('dockerd', (t) => dockerPulls(t, inside, images));
  await t.test('containerd', (t) => containerdPulls(t, inside, images));
  await t.test('podman', (t) => podmanPulls(t, inside, images));
  await t.test('from another registry', (t) => otherIsPulled(t, inside, fromOther));
  const metrics = await inside.hubcap.metrics();
  t.equal(metrics.sum('hubcap_requests_total', { outcome: 'error' }), 0);
  t.equal(metrics.sum('hubcap_upstream_requests_total'), 0, 'no upstream is asked');
  t.equal(await inside.commands.run('misses', '--list'), '', 'nothing is missed');
});

/** Prewarms and exports, and leaves nothing outside but the bundle. */
async function carry(t: Test, stick: (name: string) => string) {
  const { stack, commands, stop } = await startOutside(t, { alsoAs: other });
  const images: [string, Image][] = [];
  for (const [repository, spec] of Object.entries(specs))
    images.push([repository, await stack.push(repository, spec)]);
  const fromOther = await stack.push('tools/agent', agent);
  await writeFile(stick('compose.yaml'), compose);
  await writeFile(stick('manifests.yaml'), manifests);

  const lists = ['-f', stick('compose.yaml'), '-f', stick('manifests.yaml')];
  const cost = await stack.cost(() =>
    commands.run('prewarm', ...lists, '--platform', 'linux/amd64', '--pin'),
  );
  const wanted = [...images.map(([, image]) => image), fromOther].map((image) => onePull('', image));
  t.strictSame(cost.blobGets, Object.assign({}, ...wanted.map(({ blobGets }) => blobGets)), 'each blob once');
  const pulls = Object.values(cost.manifestGets);
  t.strictSame(
    [pulls.length, new Set(pulls)],
    [new Set(wanted.flatMap(({ manifestGets }) => Object.keys(manifestGets))).size, new Set([1])],
    'each manifest once, and none of the other platform',
  );
  await commands.run('export', '-o', stick('bundle.tar'), '--pinned');
  await stop();
  return { images, fromOther };
}

async function dockerPulls(t: Test, { hubcap }: Side, images: readonly [string, Image][]): Promise<void> {
  const { docker } = await startDockerd(t, mirroredBy(hubcap.url));
  const familiar = (repository: string) => repository.replace(/^library\//, '');
  for (const [repository, { tag, digest }] of images) {
    const name = familiar(repository);
    await docker('pull', '--quiet', `${name}:${tag}`);
    const digests = await docker('image', 'inspect', '--format', '{{json .RepoDigests}}', `${name}:${tag}`);
    t.strictSame(JSON.parse(digests), [`${name}@${digest}`]);
  }
  await docker('rmi', ...images.map(([repository, { tag }]) => `${familiar(repository)}:${tag}`));
  t.equal(await docker('image', 'ls', '--all', '--quiet'), '', 'Docker holds no image');
  for (const [repository, image] of images) {
    const name = `${familiar(repository)}@${image.digest}`;
    await docker('pull', '--quiet', name);
    const layers = await docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', name);
    const pushed = platformOf(image, 'amd64').layers.map(({ diffId }) => diffId);
    t.strictSame(JSON.parse(layers), pushed);
  }
}

async function containerdPulls(t: Test, { hubcap }: Side, images: readonly [string, Image][]): Promise<void> {
  const { ctr, pullFlags } = await startContainerd(t, hubcap.url);
  const pull = (name: string) => ctr('images', 'pull', '--snapshotter=native', ...pullFlags, name);
  const nameOf = (repository: string, { tag }: Image) => `docker.io/${repository}:${tag}`;
  const byTag = images.map(([repository, image]) => nameOf(repository, image));
  for (const name of byTag) await pull(name);
  const listed = (await ctr('images', 'ls')).split('\n');
  for (const [repository, image] of images) {
    const name = nameOf(repository, image);
    t.ok(
      listed.some((line) => line.startsWith(`${name} `) && line.includes(image.digest)),
      name,
    );
  }
  await ctr('images', 'rm', '--sync', ...byTag);
  t.equal(await ctr('content', 'ls', '--quiet'), '', 'containerd holds nothing');
  for (const [repository, { digest }] of images) await pull(`docker.io/${repository}@${digest}`);
  const last = (await ctr('images', 'ls', '--quiet')).split('\n');
  t.equal(last.length, images.length);
}

async function podmanPulls(t: Test, { hubcap }: Side, images: readonly [string, Image][]): Promise<void> {
  const podman = await makePodman(t, hubcap.host);
  for (const [repository, { tag, digest }] of images) {
    const name = `docker.io/${repository}:${tag}`;
    await podman('pull', '--quiet', name);
    t.match(await podman('image', 'inspect', '--format', '{{.RepoDigests}}', name), digest);
  }
  await podman('rmi', '--all', '--force');
  t.equal(await podman('image', 'ls', '--all', '--quiet'), '', 'podman holds nothing');
  for (const [repository, { digest }] of images)
    await podman('pull', '--quiet', `docker.io/${repository}@${digest}`);
}

async function otherIsPulled(t: Test, { hubcap }: Side, { digest }: Image): Promise<void> {
  const { ctr, pullFlags } = await startContainerd(t, hubcap.url, other);
  const name = `${other}/tools/agent`;
  for (const one of [`${name}:0.9`, `${name}@${digest}`])
    await ctr('images', 'pull', '--snapshotter=native', ...pullFlags, one);
  t.match(await ctr('images', 'ls'), digest);
  const podman = await makePodman(t, hubcap.host, mirrorWithPrefix(hubcap.host, other));
  for (const one of [`${name}:0.9`, `${name}@${digest}`]) await podman('pull', '--quiet', one);
}
