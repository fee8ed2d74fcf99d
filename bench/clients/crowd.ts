/** Owns a crowd of clients that want all sorts of things, in threads of their own. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { BlobSpec } from '../servers/faulty-upstream.ts';
import type { Teardown } from '../teardown.ts';

/** What a client does again and again; the shares are of a hundred clients. */
export const behaviours = {
  whole: 40,
  range: 20,
  manifest: 20,
  /** leaves in the middle */
  leaver: 8,
  /** takes `CRAWL_BYTES_PER_SECOND` */
  crawler: 8,
  /** takes the head and then nothing, until it is let go or has waited long */
  staller: 4,
} as const;
export type Behaviour = keyof typeof behaviours;

export interface Wanted {
  url: string;
  repository: string;
  blobs: (BlobSpec & { digest: string })[];
  /** rarely asked for */
  oversize: BlobSpec & { digest: string };
  tags: string[];
  manifests: string[];
}

export interface CrowdOptions extends Wanted {
  clients: number;
  seed: number;
  /** mean time between two requests of a client */
  pauseMs: number;
}

/** What became of the answers. */
export interface Tally {
  /** complete, of the right length, and every byte compared */
  right: number;
  /** complete with wrong bytes, or any wrong byte in a part */
  wrong: number;
  /** 429, 502, 503, 504 */
  refused: number;
  /** any other status that was not to be expected */
  unexpected: number;
  /** ended early by hubcap */
  brokenOff: number;
  /** ended early by the client */
  left: number;
  bytes: number;
}

export interface Crowd {
  /** Nobody asks any more, and who waits leaves. */
  stop(): Promise<Tally>;
}

export const emptyTally = (): Tally => ({
  right: 0,
  wrong: 0,
  refused: 0,
  unexpected: 0,
  brokenOff: 0,
  left: 0,
  bytes: 0,
});

/** Starts `clients` in `threads`; resolves when all are there. */
export async function startCrowd(
  teardown: Teardown,
  { clients, seed, ...options }: CrowdOptions,
  threads = 2,
): Promise<Crowd> {
  const workers = Array.from({ length: threads }, (_, i) => {
    const workerData: CrowdOptions = { ...options, clients: clients / threads, seed: seed + i };
    return new Worker(new URL('./crowd-worker.ts', import.meta.url), { workerData });
  });
  teardown.add(() => Promise.all(workers.map((worker) => worker.terminate())));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  return {
    stop: async () => {
      const sum = emptyTally();
      for (const worker of workers) worker.postMessage('stop');
      for (const [tally] of (await Promise.all(workers.map((worker) => once(worker, 'message')))) as [
        Tally,
      ][]) {
        for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += tally[key];
      }
      return sum;
    },
  };
}
