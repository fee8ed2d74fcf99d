/** Owns what goes on beside serving: last uses, a disk or an upstream that failed, making room, reconciling, resuming, scrubbing. */
import { HISTORY_INTERVAL_MS, type History } from './admin/history.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Blobs } from './mirror/blobs.ts';
import type { UpstreamTable } from './mirror/mirrored-upstream.ts';
import { resumePartials } from './mirror/resume-partials.ts';
import type { DiskHealth } from './observers.ts';
import type { DataDirectory } from './store/data-directory.ts';
import type { Unattended } from './unattended.ts';
import type { OfflineSwitch } from './upstream/offline-switch.ts';

export interface BackgroundParts {
  opened: DataDirectory;
  health: DiskHealth;
  table: UpstreamTable;
  blobs: Blobs;
  offline: OfflineSwitch;
  unattended: Unattended;
  history: History;
  log: Logger;
  metrics: Metrics;
  config: { storage: { scrubBytesPerS: number } };
  /** aborted when the daemon begins to stop */
  stop: AbortSignal;
}

const FLUSH_INTERVAL_MS = 5_000;
const PROBE_INTERVAL_MS = 10_000;
const RESTORE_INTERVAL_MS = 10_000;
/** Who asks tries a failed upstream again by asking; this finds it back when nobody asks. */
const UPSTREAM_INTERVAL_MS = 5_000;
/** Both know themselves what is due. */
const UNATTENDED_INTERVAL_MS = 500;

/** Runs until the daemon stops. None of it may end the process: the promise never rejects. */
export async function runBackground({
  opened,
  health,
  stop,
  log,
  table,
  blobs,
  offline,
  unattended,
  history,
  metrics,
  config,
}: BackgroundParts): Promise<void> {
  const every = (intervalMs: number, what: string, work: () => Promise<void>): void => {
    let isRunning = false;
    const timer = setInterval(async () => {
      if (isRunning) return; // a disk that hangs must not gather a crowd
      isRunning = true;
      await work().catch((error: unknown) => log.warn({ error }, what));
      isRunning = false;
    }, intervalMs);
    timer.unref();
    stop.addEventListener('abort', () => clearInterval(timer), { once: true });
  };
  const compare = comparing(opened, log, stop);
  const watch = watchPossession(opened, log, compare);
  every(FLUSH_INTERVAL_MS, 'the catalog could not be written', async () => {
    await opened.flush();
    const dropped = opened.misses.takeDropped();
    if (dropped > 0) log.warn({ dropped }, 'more was missed at once than the miss list takes');
    await opened.store.finishRemovals();
    await opened.pins.finishReleases();
  });
  every(FLUSH_INTERVAL_MS, 'the pins could not be copied', () => opened.copyPins());
  every(HISTORY_INTERVAL_MS, 'the last hour has a gap', async () => history.sample());
  every(PROBE_INTERVAL_MS, 'the disk still refuses', async () => {
    await watch();
    if (!health.isWritable) await opened.store.probe();
  });
  every(UPSTREAM_INTERVAL_MS, 'upstreams could not be tried again', async () => {
    await Promise.all(table.all().map(({ client }) => client.probe()));
  });
  every(UNATTENDED_INTERVAL_MS, 'pins of lists could not be let go', () => unattended.schedules.runDue(stop));
  const restore = restoring(opened, log);
  every(RESTORE_INTERVAL_MS, 'room could not be made', restore);
  if (opened.setAside)
    log.warn({ setAside: opened.setAside }, 'the catalog was damaged: it is made anew from the files');
  await restore().catch((error: unknown) => log.warn({ error }, 'room could not be made'));
  await compare();
  await unattended.restoreNames(opened);
  // Before, content that is only not known yet would look lost.
  every(UNATTENDED_INTERVAL_MS, 'pins could not be looked after', () => unattended.follower.followDue(stop));
  const resume = resuming({ opened, table, blobs, log, stop });
  stop.addEventListener('abort', offline.whenOnline(resume), { once: true });
  await resume();
  await opened.scrub({
    bytesPerS: config.storage.scrubBytesPerS,
    onRead: (bytes) => metrics.scrubbedBytes.inc(bytes),
    onError: (error) => log.warn({ error }, 'stored content could not be checked'),
    signal: stop,
  });
}

/** Keeps budget and `minFree`; that it cannot, or that more is pinned, is said once, until it is otherwise. */
function restoring({ store, index }: DataDirectory, log: Logger): () => Promise<void> {
  let wasInVain = false;
  let wasOverPinned = false;
  return async () => {
    const restored = await store.ledger.restore();
    if (restored.isInVain && !wasInVain)
      log.warn(restored, 'the disk is fuller than minFree allows, and evicting does not help');
    else if (restored.budgetBytes + restored.minFreeBytes > 0) log.info(restored, 'room was made');
    wasInVain = restored.isInVain;
    const { isOverPinned } = restored;
    const figures = { pinnedBytes: index.pinnedBytes, maxBytes: store.ledger.maxBytes };
    if (isOverPinned && !wasOverPinned)
      log.warn(
        figures,
        'more is pinned than the budget holds: it is kept, and nothing else is; unpin something',
      );
    else if (!isOverPinned && wasOverPinned) log.info(figures, 'what is pinned fits the budget again');
    wasOverPinned = isOverPinned;
  };
}

/** Makes catalog and files agree, one time after the other. It never rejects. */
function comparing({ reconcile }: DataDirectory, log: Logger, stop: AbortSignal): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  const compare = async (): Promise<void> => {
    try {
      log.debug(await reconcile(stop), 'catalog and files agree');
    } catch (error) {
      if (!stop.aborted) log.warn({ error }, 'catalog and files could not be compared');
    }
  };
  return () => {
    last = last.then(compare);
    return last;
  };
}

/** Goes on with the downloads that are partial, one time after the other. It never rejects. */
function resuming({
  opened,
  table,
  blobs,
  log,
  stop,
}: Pick<BackgroundParts, 'opened' | 'table' | 'blobs' | 'log' | 'stop'>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  const resume = async (): Promise<void> => {
    try {
      await resumePartials(await opened.store.partials.waiting(), table, blobs, stop);
    } catch (error) {
      if (!stop.aborted) log.warn({ error }, 'partial downloads could not be resumed');
    }
  };
  return () => {
    last = last.then(resume);
    return last;
  };
}

/** Says once when somebody has removed or replaced the directory, and goes on with what is there. */
function watchPossession(
  opened: DataDirectory,
  log: Logger,
  compare: () => Promise<void>,
): () => Promise<void> {
  let isLost = false;
  return async () => {
    const reason = await opened.lost();
    if (reason === undefined || isLost) return;
    isLost = true;
    log.error({ reason }, 'the data directory is not the one that hubcap was started with');
    await opened.store.probe();
    await compare();
  };
}
