/** Owns what is fetched when nobody asks: schedules and pins that follow their tags, with their metrics and log lines. */
import { type FollowObserver, PinFollower } from './airgap/follow-pins.ts';
import type { AirgapParts } from './airgap/parts.ts';
import { pinnedName } from './airgap/pinning.ts';
import { restoreNames } from './airgap/restore-names.ts';
import { type ScheduleObserver, Schedules } from './airgap/schedules.ts';
import type { Config } from './config/schema.ts';
import { watchSchedules } from './gauges.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { DataDirectory } from './store/data-directory.ts';
import type { OfflineSwitch } from './upstream/offline-switch.ts';

export interface Unattended {
  schedules: Schedules;
  follower: PinFollower;
  /** Has pinned images named again where the catalog was lost; to be called when the files are known. Never rejects */
  restoreNames(lost: Pick<DataDirectory, 'unnamedPins' | 'damagedPins' | 'named'>): Promise<void>;
}

export interface UnattendedParts {
  config: Pick<Config, 'prewarm'>;
  parts: AirgapParts;
  offline: OfflineSwitch;
  metrics: Metrics;
  log: Logger;
}

/** Nothing of it runs before the background calls it. */
export function makeUnattended({ config, parts, offline, metrics, log }: UnattendedParts): Unattended {
  const whenOffline = (giveUp: () => void): (() => void) => offline.whenOffline(giveUp);
  const schedules = new Schedules(
    { parts, whenOffline, observer: observeSchedules(metrics, log) },
    config.prewarm,
  );
  watchSchedules(metrics.registry, () => schedules.times());
  const follower = new PinFollower({ parts, whenOffline, observer: observeFollowing(log) });
  return { schedules, follower, restoreNames: async (lost) => await restoreAll(lost, parts, log) };
}

async function restoreAll(
  { unnamedPins, damagedPins, named }: Pick<DataDirectory, 'unnamedPins' | 'damagedPins' | 'named'>,
  parts: AirgapParts,
  log: Logger,
): Promise<void> {
  if (damagedPins > 0)
    log.error({ pins: damagedPins }, 'pins are lost: of the copy beside the catalog some lines are damaged');
  if (unnamedPins.length === 0) return;
  try {
    const images = await restoreNames(unnamedPins, parts);
    named();
    log.warn(
      { pins: unnamedPins.length, images },
      'the catalog was lost: its pins are known again from their copy',
    );
  } catch (error) {
    log.error(
      { pins: unnamedPins.length, error },
      'pinned images could not be named again: ask for them once more',
    );
  }
}

/** The names of images are for the log, and for no metric. */
function observeSchedules(metrics: Metrics, log: Logger): ScheduleObserver {
  return {
    noted: (list, note) => log.info({ list, note }, 'a schedule notes'),
    waits: (list, reference, until) =>
      log.info({ list, reference, until }, 'a schedule waits for a limit on pulls'),
    failed: (list, { reference, message }) =>
      log.warn({ list, reference, reason: message }, 'a schedule could not fetch an image'),
    postponed: (list) => log.info({ list }, 'a schedule is due, and runs when hubcap is online again'),
    letGo: (list, pins) =>
      log.warn({ list, pins }, 'the pins of a list are let go: no schedule of the configuration pins it'),
    ended: (list, { result, images, fetchedBytes, pulls, letGo, durationMs, error }) => {
      metrics.prewarmRuns.inc({ result });
      metrics.prewarmImages.inc({ result: 'done' }, images.done);
      metrics.prewarmImages.inc({ result: 'failed' }, images.failed);
      metrics.prewarmBytes.inc(fetchedBytes);
      const { done, failed } = images;
      const figures = { list, result, done, failed, fetchedBytes, pulls, letGo, ms: durationMs };
      if (error !== undefined) log.warn({ ...figures, error }, 'the list of a schedule could not be fetched');
      else if (failed > 0) log.warn(figures, 'a schedule has run, and some images failed');
      else log.info(figures, 'a schedule has run');
    },
  };
}

function observeFollowing(log: Logger): FollowObserver {
  return {
    followed: (before, now) =>
      log.info(
        { reference: pinnedName(now), from: before.digest, to: now.digest },
        before.digest === now.digest
          ? 'what is pinned is here again as a whole'
          : 'a pinned tag has moved: all of what it is now is here',
      ),
    failed: (pin, message, isNews) =>
      log[isNews ? 'warn' : 'debug'](
        { reference: pinnedName(pin), digest: pin.digest, reason: message },
        'a pin could not be brought up to date: it stays as it was, and is tried again',
      ),
  };
}
