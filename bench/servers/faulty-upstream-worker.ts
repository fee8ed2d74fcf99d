/** The thread of a `FaultyUpstream`: the tests' registry, with the personas that it is told to play. */
import { parentPort, workerData } from 'node:worker_threads';
import { blobOf } from '../../test/helpers/content.ts';
import type { Persona } from '../../test/helpers/persona-server.ts';
import { blobDownloads, corrupting, only, times } from '../../test/helpers/personas.ts';
import { startRegistry } from '../../test/helpers/registry.ts';
import { Teardown } from '../teardown.ts';
import { type Begin, type BlobSpec, type Faults, REPOSITORY } from './faulty-upstream.ts';

const contents = (workerData as BlobSpec[]).map(({ bytes, seed }) => blobOf(bytes, seed));
const registry = await startRegistry(new Teardown().asTest()); // ends with the thread
for (const content of contents) registry.push(REPOSITORY, content);

/** What a proxy asks first. */
const versioned: Persona = ({ path }, answer) => (path === '/v2/' ? { status: 200 } : answer());
registry.act(versioned);

let breaks = 0;
parentPort?.on('message', ({ breakAt = [], flips = 0 }: Faults) => {
  registry.act(
    versioned,
    only(blobDownloads, breakingOnceAt(breakAt)),
    only(blobDownloads, times(flips, corrupting())),
  );
  parentPort?.postMessage(breaks);
  breaks = 0;
});

const begin: Begin = {
  url: registry.url,
  blobs: contents.map(({ digest, body }) => ({ digest, size: body.length })),
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
