/** Owns an upstream that misbehaves as it is told, in a thread of its own. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Teardown } from '../teardown.ts';

export interface BlobSpec {
  bytes: number;
  seed: string;
}

/** How blobs are answered from now on. */
export interface Faults {
  /** offsets into the content at which a connection breaks, each once */
  breakAt?: number[];
  /** of so many answers one bit is flipped, in the middle */
  flips?: number;
}

export interface FaultyUpstream {
  url: string;
  repository: string;
  /** in the order of the specs */
  blobs: { digest: string; size: number }[];
  /** @returns how often a connection broke since it was told so before */
  misbehave(faults: Faults): Promise<number>;
}

export interface Begin {
  url: string;
  blobs: FaultyUpstream['blobs'];
}

export const REPOSITORY = 'bench/faults';

/** It ends with `teardown`. */
export async function startFaultyUpstream(
  teardown: Teardown,
  specs: readonly BlobSpec[],
): Promise<FaultyUpstream> {
  const worker = new Worker(new URL('./faulty-upstream-worker.ts', import.meta.url), { workerData: specs });
  teardown.add(() => worker.terminate());
  const [begin] = (await once(worker, 'message')) as [Begin];
  return {
    ...begin,
    repository: REPOSITORY,
    misbehave: async (faults) => {
      worker.postMessage(faults);
      const [breaks] = (await once(worker, 'message')) as [number];
      return breaks;
    },
  };
}
