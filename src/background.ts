/** Owns what goes on beside serving: last uses, a disk that refused, making room, reconciling, resuming, scrubbing. */
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Blobs } from './mirror/blobs.ts';
import type { UpstreamTable } from './mirror/mirrored-upstream.ts';
import { resumePartials } from './mirror/resume-partials.ts';
import type { DiskHealth } from './observers.ts';
import type { DataDirectory } from './store/data-directory.ts';

export interface BackgroundParts {
  opened: DataDirectory;
  health: DiskHealth;
  table: UpstreamTable;
  blobs: Blobs;
  log: Logger;
  metrics: Metrics;
  config: { storage: { scrubBytesPerS: number } };
  /** aborted when the daemon begins to stop */
  stop: AbortSignal;
}

const FLUSH_INTERVAL_MS = 5_000;
const PROBE_INTERVAL_MS = 10_000;
const RESTORE_INTERVAL_MS = 10_000;

/** Runs until the daemon stops. None of it may end the process: the promise never rejects. */
export async function runBackground({
  opened,
  health,
  stop,
  log,
  table,
  blobs,
  metrics,
  config,
}: BackgroundParts): Promise<void> {
  const every = (intervalMs: number, what: string, work: () => Promise<void>): void => {
    const timer = setInterval(() => {
      work().catch((error: unknown) => log.warn({ error }, what));
    }, intervalMs);
    timer.unref();
    stop.addEventListener('abort', () => clearInterval(timer), { once: true });
  };
  const watch = watchPossession(opened, log);
  every(FLUSH_INTERVAL_MS, 'last uses could not be written', async () => opened.flush());
  every(PROBE_INTERVAL_MS, 'the disk still refuses', async () => {
    await watch();
    if (!health.isWritable) await opened.store.probe();
  });
  const restore = async (): Promise<void> => {
    const restored = await opened.store.ledger.restore();
    if (restored.isInVain)
      log.warn(restored, 'the disk is fuller than minFree allows, and evicting does not help');
    else if (restored.budgetBytes + restored.minFreeBytes > 0) log.info(restored, 'room was made');
  };
  every(RESTORE_INTERVAL_MS, 'room could not be made', restore);
  if (opened.setAside)
    log.warn({ setAside: opened.setAside }, 'the catalog was damaged: it is made anew from the files');
  await restore().catch((error: unknown) => log.warn({ error }, 'room could not be made'));
  try {
    const report = await opened.reconcile(stop);
    log.debug(report, 'catalog and files agree');
    await resumePartials(opened.partials, table, blobs, stop);
  } catch (error) {
    if (!stop.aborted) log.warn({ error }, 'catalog and files could not be compared');
  }
  await opened.scrub({
    bytesPerS: config.storage.scrubBytesPerS,
    onRead: (bytes) => metrics.scrubbedBytes.inc(bytes),
    onError: (error) => log.warn({ error }, 'stored content could not be checked'),
    signal: stop,
  });
}

/** Says once when somebody has removed or replaced the directory, and makes its directories again. */
function watchPossession(opened: DataDirectory, log: Logger): () => Promise<void> {
  let isLost = false;
  return async () => {
    const reason = await opened.lost();
    if (reason === undefined || isLost) return;
    isLost = true;
    log.error({ reason }, 'the data directory is not the one that hubcap was started with');
    await opened.store.probe();
  };
}
