/** The thread of a `FaultyUpstream`: the tests' registry, with the personas that it is told to play. */
import { parentPort, workerData } from 'node:worker_threads';
import { blobOf, type Image, imageOf, indexOf } from '../../test/helpers/content.ts';
import type { Persona } from '../../test/helpers/persona-server.ts';
import {
  blobDownloads,
  corrupting,
  failing,
  manifests,
  only,
  outOfPulls,
  pulls,
  times,
} from '../../test/helpers/personas.ts';
import { makeRandom } from '../../test/helpers/random.ts';
import { startRegistry } from '../../test/helpers/registry.ts';
import { Teardown } from '../teardown.ts';
import {
  type Begin,
  type Counts,
  type Faults,
  type ImageSpec,
  type Order,
  type Pushed,
  REPOSITORY,
  SLOW_BYTES_PER_SECOND,
  type Stock,
  type Trouble,
} from './faulty-upstream.ts';

const stock = workerData as Stock;
const contents = stock.blobs.map(({ bytes, seed }) => blobOf(bytes, seed));
const registry = await startRegistry(new Teardown().asTest()); // ends with the thread
for (const content of contents) registry.push(REPOSITORY, content);
const pushed = stock.images.map(pushImage);

/** What a proxy asks first. */
const versioned: Persona = ({ path }, answer) => (path === '/v2/' ? { status: 200 } : answer());
registry.act(versioned);

let breaks = 0;
let counted = 0;
parentPort?.on('message', (order: Order) => {
  parentPort?.postMessage(order.kind === 'count' ? count() : misbehave(order.faults));
});

const begin: Begin = {
  url: registry.url,
  blobs: contents.map(({ digest, body }) => ({ digest, size: body.length })),
  images: pushed.map(({ digest }) => digest),
  pushed,
};
parentPort?.postMessage(begin);

function pushImage({ tag, layerBytes, architectures }: ImageSpec): Pushed {
  const name = `bench/${tag}`;
  const byArchitecture = architectures?.map((one): [string, Image] => [
    one,
    imageOf(`${name}/${one}`, layerBytes),
  ]);
  const image = byArchitecture?.[0]?.[1] ?? imageOf(name, layerBytes);
  const top = byArchitecture ? indexOf(Object.fromEntries(byArchitecture)) : image;
  registry.push(REPOSITORY, top, tag);
  const layers = image.layers.map(({ digest, body }) => ({ digest, size: body.length }));
  return { tag, digest: top.manifest.digest, manifest: image.manifest.digest, layers };
}

function count(): Counts {
  const asked = registry.asked.slice(counted);
  counted = registry.asked.length;
  return {
    requests: asked.length,
    manifestGets: asked.filter(pulls).length,
    blobGets: asked.filter(blobDownloads).length,
  };
}

/** @returns how often a connection broke until now */
function misbehave({ breakAt = [], flips = 0, trouble, refuse }: Faults): number {
  registry.act(
    versioned,
    ...(trouble ? [troubled(trouble)] : []),
    ...(refuse === undefined ? [] : [refusing(refuse)]),
    only(blobDownloads, breakingOnceAt(breakAt)),
    only(blobDownloads, times(flips, corrupting())),
  );
  const before = breaks;
  breaks = 0;
  return before;
}

function refusing(status: number): Persona {
  return status === 429 ? only(manifests, outOfPulls({ 'retry-after': '60' })) : failing(status);
}

/** @param points offsets into the content, in their order */
function breakingOnceAt(points: readonly number[]): Persona {
  const left = [...points];
  return async (asked, answer) => {
    const plain = await answer();
    const start = Number(/^bytes=(\d+)-/.exec(asked.headers.range ?? '')?.[1] ?? 0);
    const next = left.findIndex((point) => point > start && point < start + (plain.body?.length ?? 0));
    const [point] = next < 0 ? [] : left.splice(next, 1);
    if (point === undefined) return plain;
    breaks += 1;
    return { ...plain, breakAfter: point - start };
  };
}

function troubled({ seed, errors, limits, breaks: broken, slow }: Trouble): Persona {
  const random = makeRandom(seed);
  return async (_asked, answer) => {
    let chance = random.between(1, 1000);
    const isNow = (perThousand: number): boolean => {
      const isIt = chance > 0 && chance <= perThousand;
      chance -= perThousand;
      return isIt;
    };
    if (isNow(errors)) return { status: 503 };
    if (isNow(limits)) return { status: 429, headers: { 'retry-after': '1' } };
    const plain = await answer();
    if (isNow(broken)) return { ...plain, breakAfter: random.between(0, plain.body?.length ?? 0) };
    return isNow(slow) ? { ...plain, bytesPerSecond: SLOW_BYTES_PER_SECOND } : plain;
  };
}
