/** Owns images that go into archives of container engines, and the proof that they arrive behind the air gap. */

import type { Test } from 'tap';
import { type Outside, type Side, startInside } from './air-gap.ts';
import { dockerNeeds, mirroredBy, startDockerd } from './dockerd.ts';
import { type Image, type ImageSpec, platformOf } from './image.ts';
import { makePodman, podmanNeeds } from './podman.ts';
import { stackNeeds } from './stack.ts';

/** What `push` and `arrive` need from the machine. */
export const savedNeeds = [...dockerNeeds, ...podmanNeeds, ...stackNeeds] as const;

const base = { seed: 'base', bytes: 3_000_000 };
const architectures = ['amd64', 'arm64'];
const pushes: [repository: string, ImageSpec][] = [
  ['library/web', { format: 'oci', tag: '1', layers: [base, { seed: 'web', bytes: 50_000 }], architectures }],
  ['acme/app', { format: 'docker', tag: '1', layers: [base, { seed: 'app', bytes: 9000 }] }],
];

export interface Saved {
  /** `docker.io/library/web:1` */
  name: string;
  /** as Docker writes it: `web:1` */
  familiar: string;
  /** of what is in its layers, in order */
  diffIds: string[];
  image: Image;
}

/** Puts images into the registry outside. */
export async function pushSamples({ stack }: Outside): Promise<Saved[]> {
  const saved: Saved[] = [];
  for (const [repository, spec] of pushes) {
    const image = await stack.push(repository, spec);
    const name = `docker.io/${repository}:${spec.tag}`;
    const diffIds = platformOf(image, 'amd64').layers.map(({ diffId }) => diffId);
    saved.push({ name, familiar: familiar(name), diffIds, image });
  }
  return saved;
}

/** Imports archives into an empty hubcap, and pulls what came with Docker and podman. */
export async function arrive(t: Test, archives: readonly string[], saved: readonly Saved[]): Promise<Side> {
  const inside = await startInside(t);
  await inside.commands.run('import', ...archives);
  const [inDocker, inPodman] = await Promise.all([
    pullWithDocker(t, inside, saved),
    pullWithPodman(t, inside, saved),
  ]);
  const layers = saved.map(({ diffIds }) => diffIds);
  t.strictSame(
    inDocker.map(({ RootFS }) => RootFS.Layers),
    layers,
    'docker has all layers',
  );
  t.strictSame(
    inPodman.map(({ RootFS }) => RootFS.Layers),
    layers,
    'podman has all layers',
  );
  t.strictSame(
    inPodman.map(({ Id }) => `sha256:${Id}`),
    inDocker.map(({ Id }) => Id),
    'both have the same images',
  );
  return inside;
}

interface Inspected {
  Id: string;
  RootFS: { Layers: string[] };
}

async function pullWithDocker(t: Test, { hubcap }: Side, saved: readonly Saved[]): Promise<Inspected[]> {
  const { docker, stop } = await startDockerd(t, mirroredBy(hubcap.url));
  const names = saved.map(({ familiar }) => familiar);
  for (const name of names) await docker('pull', '--quiet', name);
  const inspected = JSON.parse(await docker('image', 'inspect', ...names)) as Inspected[];
  await stop();
  return inspected;
}

async function pullWithPodman(t: Test, { hubcap }: Side, saved: readonly Saved[]): Promise<Inspected[]> {
  const podman = await makePodman(t, hubcap.host);
  const names = saved.map(({ name }) => name);
  for (const name of names) await podman('pull', '--quiet', name);
  return JSON.parse(await podman('image', 'inspect', ...names)) as Inspected[];
}

function familiar(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, '');
}
