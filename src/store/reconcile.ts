/** Owns the comparison of the catalog with the files, in the background after a start. */
import type { FindingKind, Step } from './findings.ts';
import {
  type InspectedParts,
  inspectRoots,
  inspectShard,
  prefixOf,
  readShard,
  SHARDS,
  type Shard,
} from './inspect.ts';

export interface ReconcileReport {
  /** files that the catalog did not know, and that are what their names say */
  adopted: number;
  /** rows without a file */
  forgotten: number;
  /** files that are not what their names say */
  damaged: number;
  /** files that are no content */
  unknown: number;
}

const TALLIES: Readonly<Partial<Record<FindingKind, keyof ReconcileReport>>> = {
  missing: 'forgotten',
  damaged: 'damaged',
  unknown: 'unknown',
};

/**
 * First counts what no row vouches for, so that the budget holds; then judges it, a file at a time. After an orderly
 * end there is none, and no content is read.
 * @throws what the file system says, or the reason of `signal`
 */
export async function reconcile(parts: InspectedParts, signal: AbortSignal): Promise<ReconcileReport> {
  const report: ReconcileReport = { adopted: 0, forgotten: 0, damaged: 0, unknown: 0 };
  const differing: Shard[] = [];
  for (const shard of SHARDS) {
    signal.throwIfAborted();
    if (await countUnproven(parts, shard)) differing.push(shard);
  }
  await tally(inspectRoots(parts), report, signal);
  for (const shard of differing) {
    await tally(inspectShard(parts, shard, 'names'), report, signal);
    parts.store.unproven.close(prefixOf(shard));
  }
  return report;
}

/** @returns whether files and rows differ */
async function countUnproven(parts: InspectedParts, shard: Shard): Promise<boolean> {
  const { gone, rowless, strange } = await readShard(parts, shard);
  for (const digest of rowless) await parts.store.judge.countUnproven(digest);
  return gone.length + rowless.length + strange.length > 0;
}

/** A file that is being hashed is left to itself when it is time to stop: the store ends that. */
async function tally(
  steps: AsyncGenerator<Step>,
  report: ReconcileReport,
  signal: AbortSignal,
): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  stopped.catch(() => undefined); // raced below
  const stop = (): void => reject(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const { done, value: step } = await Promise.race([steps.next(), stopped]);
      if (done) return;
      if (step.kind === 'checked' && step.isAdopted) report.adopted += 1;
      const key = step.kind === 'found' ? TALLIES[step.finding.what] : undefined;
      if (key) report[key] += 1;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
