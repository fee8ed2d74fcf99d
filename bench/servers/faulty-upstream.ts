/** Owns an upstream that misbehaves as it is told, in a thread of its own. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Teardown } from '../teardown.ts';

export interface BlobSpec {
  bytes: number;
  seed: string;
}

/** An image with layers of these sizes, under a tag. */
export interface ImageSpec {
  tag: string;
  layerBytes: number[];
  /** an index of an image for each */
  architectures?: string[];
}

/** An image as a client sees it. */
export interface Pushed {
  tag: string;
  /** of what the tag names */
  digest: string;
  /** of the (first) image */
  manifest: string;
  layers: { digest: string; size: number }[];
}

/** What upstream was asked and gave. */
export interface Counts {
  requests: number;
  manifestGets: number;
  blobGets: number;
}

/** Of a thousand answers, how many are something else. */
export interface Trouble {
  seed: number;
  /** 503 */
  errors: number;
  /** 429 */
  limits: number;
  /** the connection breaks somewhere in the body */
  breaks: number;
  /** the body comes at `SLOW_BYTES_PER_SECOND` */
  slow: number;
}

export const SLOW_BYTES_PER_SECOND = 1_000_000;

/** How blobs are answered from now on. */
export interface Faults {
  /** offsets into the content at which a connection breaks, each once */
  breakAt?: number[];
  /** of so many answers one bit is flipped, in the middle */
  flips?: number;
  /** for manifests too */
  trouble?: Trouble;
  /** 429 is the pull limit, and for manifests alone; any other status is for everything */
  refuse?: number;
}

/** What the thread is told to do. */
export type Order = { kind: 'misbehave'; faults: Faults } | { kind: 'count' };

export interface FaultyUpstream {
  url: string;
  repository: string;
  /** in the order of the specs */
  blobs: { digest: string; size: number }[];
  /** digests of manifests, in the order of the specs */
  images: string[];
  /** the same, as they are pulled */
  pushed: Pushed[];
  /** @returns how often a connection broke since it was told so before */
  misbehave(faults: Faults): Promise<number>;
  /** @returns what was asked since this was asked before */
  count(): Promise<Counts>;
}

export interface Begin {
  url: string;
  blobs: FaultyUpstream['blobs'];
  images: string[];
  pushed: Pushed[];
}

export interface Stock {
  blobs: readonly BlobSpec[];
  images: readonly ImageSpec[];
}

export const REPOSITORY = 'bench/faults';

/** It ends with `teardown`. */
export async function startFaultyUpstream(
  teardown: Teardown,
  blobs: readonly BlobSpec[],
  images: readonly ImageSpec[] = [],
): Promise<FaultyUpstream> {
  const workerData: Stock = { blobs, images };
  const worker = new Worker(new URL('./faulty-upstream-worker.ts', import.meta.url), { workerData });
  teardown.add(() => worker.terminate());
  const [begin] = (await once(worker, 'message')) as [Begin];
  const ask = async <T>(order: Order): Promise<T> => {
    worker.postMessage(order);
    const [answer] = (await once(worker, 'message')) as [T];
    return answer;
  };
  return {
    ...begin,
    repository: REPOSITORY,
    misbehave: (faults) => ask<number>({ kind: 'misbehave', faults }),
    count: () => ask<Counts>({ kind: 'count' }),
  };
}
