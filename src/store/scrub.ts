/** Owns the scrub: stored content is hashed again in the background, at a pace, round after round. */
import { setTimeout as wait } from 'node:timers/promises';
import { type InspectedParts, inspectShard, SHARDS, type Shard } from './inspect.ts';

export interface ScrubOptions {
  /** 0: not at all */
  bytesPerS: number;
  onRead: (bytes: number) => void;
  /** told of a disk that refuses; the scrub goes on after a pause */
  onError: (error: unknown) => void;
  signal: AbortSignal;
  /** a round takes at least this long: a small store is not read all the time, an empty one not listed */
  roundMs?: number;
  /** what to begin with, 0 … 1: a daemon that is often started again must not scrub the same content each time */
  beginning?: number;
  elapsedMs?: () => number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

const MIN_ROUND_MS = 10 * 60_000;
const FAILURE_PAUSE_MS = 60_000;
const SECOND = 1_000;
/** So many reads in a second where the pace is low; it is then smooth. */
const READS_PER_S = 8;
const MIN_CHUNK_BYTES = 4 * 1024;
const MAX_CHUNK_BYTES = 128 * 1024;

/** Runs until `signal`. What is wrong is told to the store's observer, as everywhere. */
export async function scrub(parts: InspectedParts, options: ScrubOptions): Promise<void> {
  const { bytesPerS, signal, roundMs = MIN_ROUND_MS, beginning = Math.random() } = options;
  const { elapsedMs = () => performance.now(), sleep = sleepUntilStopped } = options;
  if (bytesPerS === 0) return;
  const first = Math.floor(beginning * SHARDS.length);
  const order = [...SHARDS.slice(first), ...SHARDS.slice(0, first)];
  while (!signal.aborted) {
    const beganMs = elapsedMs();
    for (const shard of order) {
      try {
        await scrubShard(parts, shard, { ...options, elapsedMs, sleep });
      } catch (error) {
        if (signal.aborted) return;
        options.onError(error);
        await sleep(FAILURE_PAUSE_MS, signal);
      }
      if (signal.aborted) return;
    }
    await sleep(beganMs + roundMs - elapsedMs(), signal);
  }
}

async function scrubShard(
  parts: InspectedParts,
  shard: Shard,
  {
    bytesPerS,
    signal,
    onRead,
    elapsedMs,
    sleep,
  }: ScrubOptions & Required<Pick<ScrubOptions, 'elapsedMs' | 'sleep'>>,
): Promise<void> {
  const wanted = Math.floor(bytesPerS / READS_PER_S);
  const chunkBytes = Math.min(MAX_CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, wanted));
  let dueMs = elapsedMs();
  for await (const step of inspectShard(parts, shard, 'content', chunkBytes)) {
    if (signal.aborted) return;
    if (step.kind !== 'read') continue;
    onRead(step.bytes);
    // Time that was lost is not made up for: the pace is a limit at any moment.
    dueMs = Math.max(dueMs, elapsedMs()) + (step.bytes * SECOND) / bytesPerS;
    await sleep(dueMs - elapsedMs(), signal);
  }
}

async function sleepUntilStopped(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await wait(ms, undefined, { signal, ref: false }).catch(() => undefined); // stopped: looked at next
}
