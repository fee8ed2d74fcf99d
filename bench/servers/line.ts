/** Owns a line of limited rate between a mirror and its upstream, which counts what comes down it. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Teardown } from '../teardown.ts';

export interface Line {
  url: string;
  /** all bytes that upstream has sent so far, heads of responses included */
  sentBytes(): number;
}

export interface LineOptions {
  port: number;
  bytesPerSecond: number;
  /** one 64-bit count, shared */
  sent: SharedArrayBuffer;
}

/** The line is a thread of its own: readers in this process must not slow it. */
export async function startLine(
  teardown: Teardown,
  upstreamUrl: string,
  bytesPerSecond: number,
): Promise<Line> {
  const sent = new SharedArrayBuffer(8);
  const options: LineOptions = { port: Number(new URL(upstreamUrl).port), bytesPerSecond, sent };
  const worker = new Worker(new URL('./line-worker.ts', import.meta.url), { workerData: options });
  teardown.add(() => worker.terminate());
  const [port] = await once(worker, 'message');
  const count = new BigInt64Array(sent);
  return { url: `http://127.0.0.1:${port}`, sentBytes: () => Number(Atomics.load(count, 0)) };
}
