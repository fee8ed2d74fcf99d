/** Owns the schedules: which list is due when, one run after the other, and how each is doing. */
import { isDeepStrictEqual } from 'node:util';
import type { Pin } from '../store/pins.ts';
import type { ScheduleStatus } from './commands.ts';
import type { AirgapParts } from './parts.ts';
import { BY_HAND } from './pinning.ts';
import { endPins, type RunFigures, type RunObserver, runSchedule, type Schedule } from './scheduled-run.ts';

/** What is told of schedules. */
export interface ScheduleObserver extends RunObserver {
  /** a run is over; not told of one that was ended in the middle */
  ended(list: string, run: EndedRun): void;
  /** a list is due, and hubcap is offline; told once until it is online again */
  postponed(list: string): void;
  /** pins of a list that no schedule pins any more */
  letGo(list: string, pins: number): void;
}

export interface EndedRun extends RunFigures {
  result: 'done' | 'failed';
  durationMs: number;
  /** why the list as a whole could not be fetched */
  error: unknown;
}

export interface SchedulesOptions {
  parts: AirgapParts;
  /** calls `giveUp` whenever hubcap goes offline, until the returned function is called */
  whenOffline: (giveUp: () => void) => () => void;
  observer: ScheduleObserver;
}

interface Entry {
  schedule: Schedule;
  dueAtMs: number;
  last: ScheduleStatus['last'];
  lastSuccessMs: number | undefined;
  /** that it is due while hubcap is offline was told */
  isPostponed: boolean;
}

/** What was started has other things to do first. */
const FIRST_DELAY_MS = 2_000;
/** Lists with the same interval drift apart, so that they do not all come at once. */
const JITTER = 0.05;
const MAX_JITTER_MS = 60_000;
/** For what found no room, and a run has just made some; for what the disk refused. */
const AGAIN_MS = 60_000;

/**
 * Nothing runs by itself: `runDue` is to be called every second or so. One list is fetched at a time, the one first
 * that has been due for longest. Where it waits for a limit, which may take hours, the next one has its turn beside it.
 * None overlaps itself.
 */
export class Schedules {
  readonly #options: SchedulesOptions;
  #entries: Entry[] = [];
  readonly #runs = new Map<Entry, { stop: AbortController; ended: Promise<void> }>();
  #work: Promise<void> | undefined;
  /** when pins are let go that no schedule has; undefined where there are none */
  #tidyAtMs: number | undefined;

  constructor(options: SchedulesOptions, schedules: readonly Schedule[]) {
    this.#options = options;
    this.configure(schedules);
  }

  /** Has these schedules from now on. A run of one that is gone or another ends; what is the same goes on. */
  configure(schedules: readonly Schedule[]): void {
    const nowMs = this.#options.parts.now();
    const before = new Map(this.#entries.map((entry) => [entry.schedule.list, entry]));
    this.#entries = schedules.map((schedule) => {
      const known = before.get(schedule.list);
      if (known && isDeepStrictEqual(known.schedule, schedule)) return known;
      const { last, lastSuccessMs } = known ?? { last: undefined, lastSuccessMs: undefined };
      return { schedule, dueAtMs: nowMs + FIRST_DELAY_MS, last, lastSuccessMs, isPostponed: false };
    });
    for (const [entry, { stop }] of this.#runs) if (!this.#entries.includes(entry)) stop.abort();
    this.#tidyAtMs = nowMs;
  }

  /**
   * Runs what is due. Where that goes on already, nothing more is begun.
   * @param signal ends it
   * @throws StorageError where pins cannot be let go; they are a while later
   */
  runDue(signal: AbortSignal): Promise<void> {
    this.#work ??= this.#runDue(signal).finally(() => {
      this.#work = undefined;
    });
    return this.#work;
  }

  /** Resolves when nothing runs. */
  async settled(): Promise<void> {
    await this.#work?.catch(() => undefined); // told to who called runDue
    await Promise.all([...this.#runs.values()].map(({ ended }) => ended));
  }

  /** in the order of the configuration */
  list(): ScheduleStatus[] {
    const isOffline = this.#options.parts.isOffline();
    return this.#entries.map((entry) => {
      const { schedule, dueAtMs, last } = entry;
      const state = this.#runs.has(entry) ? 'running' : isOffline ? 'offline' : 'waiting';
      return {
        list: schedule.list,
        everyS: schedule.everyMs / 1000,
        isPinning: schedule.isPinning,
        state,
        last,
        nextAt: state === 'waiting' ? new Date(dueAtMs).toISOString() : undefined,
      };
    });
  }

  /** How often each list is fetched, and when all of it last was, ms since the epoch; undefined: not since the start. */
  *times(): Generator<{ list: string; everyS: number; successAtMs: number | undefined }> {
    for (const { schedule, lastSuccessMs } of this.#entries)
      yield { list: schedule.list, everyS: schedule.everyMs / 1000, successAtMs: lastSuccessMs };
  }

  async #runDue(signal: AbortSignal): Promise<void> {
    const { parts } = this.#options;
    for (;;) {
      if (signal.aborted) return;
      if (this.#tidyAtMs !== undefined && parts.now() >= this.#tidyAtMs) await this.#tidy();
      const entry = this.#next();
      if (!entry) return;
      await this.#begin(entry, signal);
    }
  }

  #next(): Entry | undefined {
    const { parts, observer } = this.#options;
    const nowMs = parts.now();
    const due = this.#entries
      .filter((entry) => entry.dueAtMs <= nowMs && !this.#runs.has(entry))
      .sort((a, b) => a.dueAtMs - b.dueAtMs);
    if (!parts.isOffline()) return due[0];
    for (const entry of due) {
      if (!entry.isPostponed) observer.postponed(entry.schedule.list);
      entry.isPostponed = true;
    }
    return undefined;
  }

  /** Resolves when the run is over, or waits for a limit. */
  async #begin(entry: Entry, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const waits = Promise.withResolvers<void>();
    const ended = this.#run(entry, stop, signal, waits.resolve).finally(() => this.#runs.delete(entry));
    this.#runs.set(entry, { stop, ended });
    await Promise.race([ended, waits.promise]);
  }

  /** A run that was ended in the middle leaves its list due. @param waits called where it waits for a limit */
  async #run(entry: Entry, stop: AbortController, signal: AbortSignal, waits: () => void): Promise<void> {
    const { parts, whenOffline } = this.#options;
    const hasEnded = whenOffline(() => stop.abort());
    const isInForce = (): boolean => this.#entries.includes(entry);
    const startedAtMs = parts.now();
    const ends = AbortSignal.any([signal, stop.signal]);
    const observer: RunObserver = {
      noted: (...told) => this.#options.observer.noted(...told),
      failed: (...told) => this.#options.observer.failed(...told),
      waits: (...told) => {
        this.#options.observer.waits(...told);
        waits();
      },
    };
    entry.isPostponed = false;
    try {
      const figures = await runSchedule(entry.schedule, { parts, observer, isInForce }, ends);
      if (figures) this.#note(entry, startedAtMs, figures, undefined);
    } catch (error) {
      if (!ends.aborted) this.#note(entry, startedAtMs, NOTHING, error);
    } finally {
      hasEnded();
    }
  }

  #note(entry: Entry, startedAtMs: number, figures: RunFigures, error: unknown): void {
    const { parts, observer } = this.#options;
    const { list, everyMs } = entry.schedule;
    const nowMs = parts.now();
    const { images, fetchedBytes, letGo } = figures;
    const result = error === undefined && images.failed === 0 ? 'done' : 'failed';
    entry.last = {
      startedAt: new Date(startedAtMs).toISOString(),
      endedAt: new Date(nowMs).toISOString(),
      result,
      images,
      fetchedBytes,
      message: error === undefined ? undefined : error instanceof Error ? error.message : String(error),
    };
    if (result === 'done') entry.lastSuccessMs = nowMs;
    const jitterMs = Math.random() * Math.min(everyMs * JITTER, MAX_JITTER_MS);
    const hasMadeRoom = letGo > 0 && result === 'failed';
    entry.dueAtMs = hasMadeRoom ? nowMs + AGAIN_MS : startedAtMs + everyMs + jitterMs;
    observer.ended(list, { ...figures, result, durationMs: nowMs - startedAtMs, error });
  }

  /** Lets go of what lists have pinned that are not in the configuration any more, or do not pin any more. */
  async #tidy(): Promise<void> {
    const { parts, observer } = this.#options;
    const againAtMs = parts.now() + AGAIN_MS;
    this.#tidyAtMs = againAtMs;
    const pinning = new Set(
      this.#entries.filter(({ schedule }) => schedule.isPinning).map(({ schedule }) => schedule.list),
    );
    const orphans = parts.pins.list().filter(({ origin }) => origin !== BY_HAND && !pinning.has(origin));
    for (const [list, pins] of Map.groupBy(orphans, ({ origin }: Pin) => origin))
      observer.letGo(list, await endPins(pins, parts));
    if (this.#tidyAtMs === againAtMs) this.#tidyAtMs = undefined; // else there is another configuration by now
  }
}

const NOTHING: RunFigures = { images: { done: 0, failed: 0, total: 0 }, fetchedBytes: 0, pulls: 0, letGo: 0 };
