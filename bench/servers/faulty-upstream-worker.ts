/** The thread of a `FaultyUpstream`: the tests' registry, with the personas that it is told to play. */
import { parentPort, workerData } from 'node:worker_threads';
import { blobOf, imageOf } from '../../test/helpers/content.ts';
import type { Persona } from '../../test/helpers/persona-server.ts';
import { blobDownloads, corrupting, only, times } from '../../test/helpers/personas.ts';
import { makeRandom } from '../../test/helpers/random.ts';
import { startRegistry } from '../../test/helpers/registry.ts';
import { Teardown } from '../teardown.ts';
import {
  type Begin,
  type Faults,
  REPOSITORY,
  SLOW_BYTES_PER_SECOND,
  type Stock,
  type Trouble,
} from './faulty-upstream.ts';

const stock = workerData as Stock;
const contents = stock.blobs.map(({ bytes, seed }) => blobOf(bytes, seed));
const images = stock.images.map(({ tag, layerBytes }) => imageOf(`bench/${tag}`, layerBytes));
const registry = await startRegistry(new Teardown().asTest()); // ends with the thread
for (const content of contents) registry.push(REPOSITORY, content);
images.forEach((image, i) => {
  registry.push(REPOSITORY, image, stock.images[i]?.tag);
});

/** What a proxy asks first. */
const versioned: Persona = ({ path }, answer) => (path === '/v2/' ? { status: 200 } : answer());
registry.act(versioned);

let breaks = 0;
parentPort?.on('message', ({ breakAt = [], flips = 0, trouble }: Faults) => {
  registry.act(
    versioned,
    ...(trouble ? [troubled(trouble)] : []),
    only(blobDownloads, breakingOnceAt(breakAt)),
    only(blobDownloads, times(flips, corrupting())),
  );
  parentPort?.postMessage(breaks);
  breaks = 0;
});

const begin: Begin = {
  url: registry.url,
  blobs: contents.map(({ digest, body }) => ({ digest, size: body.length })),
  images: images.map(({ manifest }) => manifest.digest),
};
parentPort?.postMessage(begin);

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
