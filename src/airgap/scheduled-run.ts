/** Owns one run of a schedule: its list is read, fetched and, where that is wanted, pinned as it is now. */
import { setImmediate as turn } from 'node:timers/promises';
import { type FullImageName, fullNameText } from '../oci/image-name.ts';
import { platformText } from '../oci/platform.ts';
import { referenceText } from '../oci/reference.ts';
import type { Pin } from '../store/pins.ts';
import type { PrewarmFailure, PrewarmItem, PrewarmReport } from './commands.ts';
import { readListFile } from './list-file.ts';
import { ListError } from './lists/list-error.ts';
import { mergeWanted } from './lists/merge-wanted.ts';
import { type AirgapParts, choiceOf } from './parts.ts';
import { prewarm } from './prewarm.ts';
import type { WantedImage } from './wanted-image.ts';

/** A list of images that is fetched again and again. */
export interface Schedule {
  /** the path of its file, absolute */
  list: string;
  everyMs: number;
  /** for images of which the list does not say it */
  platforms: 'all' | readonly string[];
  isPinning: boolean;
  withReferrers: boolean;
}

/** What is told of a run while it goes on. */
export interface RunObserver {
  /** something of the list, or of one of its images, that is no failure */
  noted(list: string, message: string): void;
  /** a limit is waited for */
  waits(list: string, reference: string, until: string): void;
  /** the first of a run alone; all are counted in its figures */
  failed(list: string, failure: PrewarmFailure): void;
}

export interface RunOptions {
  parts: AirgapParts;
  observer: RunObserver;
  /** whether the schedule is still in force: nothing is pinned or unpinned for one that is not */
  isInForce: () => boolean;
}

/** A run that came to its end. */
export interface RunFigures extends Pick<PrewarmReport, 'images' | 'fetchedBytes' | 'pulls'> {
  /** pins of what the list names no more */
  letGo: number;
}

/** What serves must stay quick beside it. */
const IMAGES_AT_ONCE = 2;
const MAX_FAILURES_TOLD = 20;
/** Pins that are ended in one transaction: some milliseconds. */
const PINS_AT_ONCE = 4;

/**
 * @param signal ends it in the middle; what was fetched is kept
 * @returns undefined where it was ended
 * @throws ListError where the list cannot be used; RefusedError; StorageError. What is pinned stays so then
 */
export async function runSchedule(
  schedule: Schedule,
  options: RunOptions,
  signal: AbortSignal,
): Promise<RunFigures | undefined> {
  const { list, isPinning } = schedule;
  const { parts, isInForce } = options;
  const wanted = await readWanted(schedule, options);
  const report = await fetchAll(schedule, wanted, options, signal);
  if (!report) return undefined;
  const named = new Set(wanted.map(({ name }) => keyOf(name, parts)));
  const isLeft = (pin: Pin): boolean => pin.origin === list && !named.has(pinKey(pin));
  const letGo = isPinning && isInForce() ? await endPins(parts.pins.list().filter(isLeft), parts) : 0;
  return { images: report.images, fetchedBytes: report.fetchedBytes, pulls: report.pulls, letGo };
}

/** Ends pins, some at a time. @returns how many there were. @throws StorageError */
export async function endPins(pins: readonly Pin[], parts: Pick<AirgapParts, 'pins'>): Promise<number> {
  for (let at = 0; at < pins.length; at += PINS_AT_ONCE) {
    parts.pins.deleteAll(pins.slice(at, at + PINS_AT_ONCE));
    await turn();
  }
  return pins.length;
}

/** @throws ListError, also where the list names nothing: a file that was emptied by mistake lets nothing go */
async function readWanted({ list, platforms }: Schedule, { observer }: RunOptions): Promise<WantedImage[]> {
  const { images, notes } = await readListFile(list);
  for (const note of notes.slice(0, MAX_FAILURES_TOLD)) observer.noted(list, note);
  if (notes.length > MAX_FAILURES_TOLD)
    observer.noted(list, `${list}: ${notes.length - MAX_FAILURES_TOLD} more notes`);
  const wanted = mergeWanted(images, choiceOf(platforms));
  if (wanted.length > 0) return wanted;
  throw new ListError([
    `${list}: it names no images, and what it named stays pinned; take the schedule out of the configuration to let go of it`,
  ]);
}

async function fetchAll(
  { list, platforms, isPinning, withReferrers }: Schedule,
  wanted: readonly WantedImage[],
  { parts, observer, isInForce }: RunOptions,
  signal: AbortSignal,
): Promise<PrewarmReport | undefined> {
  const request = {
    images: wanted.map(toItem),
    platforms: platforms === 'all' ? platforms : [...platforms],
    isPinning,
    withReferrers,
    concurrency: IMAGES_AT_ONCE,
    isDryRun: false,
    isPatient: true,
  };
  let failures = 0;
  // Progress comes several times a second, so that an end is seen soon.
  for await (const event of prewarm(request, list, parts, isInForce)) {
    if (signal.aborted) return undefined;
    if (event.kind === 'report') return event;
    if (event.kind === 'note') observer.noted(list, `${event.reference}: ${event.message}`);
    else if (event.kind === 'waiting') observer.waits(list, event.reference, event.until);
    else if (event.kind === 'failure' && ++failures <= MAX_FAILURES_TOLD)
      observer.failed(list, { reference: event.reference, message: event.message });
  }
  return undefined;
}

function toItem({ name, platforms }: WantedImage): PrewarmItem {
  const chosen = platforms === undefined || platforms === 'all' ? platforms : platforms.map(platformText);
  return { reference: fullNameText(name), platforms: chosen };
}

/** A name and a pin of the same image have the same key, whatever other names the upstream has. */
function keyOf({ host, repository, reference }: FullImageName, { upstreams }: AirgapParts): string {
  return `${upstreams.named(host)?.host ?? host}/${repository} ${referenceText(reference)}`;
}

function pinKey({ repository: { upstream, name }, reference }: Pin): string {
  return `${upstream}/${name} ${reference}`;
}
