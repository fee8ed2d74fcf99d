/** Owns a prewarm: the images of a list are fetched, some at a time, and what becomes of each is told. */
import { setMaxListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import { fullNameText, parseFullName } from '../oci/image-name.ts';
import { RefusedError } from '../refused-error.ts';
import type { PrewarmEvent, PrewarmFailure, PrewarmItem, PrewarmRequest } from './commands.ts';
import { EventQueue } from './event-queue.ts';
import { forecastOf } from './forecast.ts';
import { fetchImage } from './image-fetch.ts';
import type { FetchContext } from './image-in-work.ts';
import { ImageQueue } from './image-queue.ts';
import { type AirgapParts, choiceOf } from './parts.ts';
import { limitWaitMs, MAX_WAIT_MS } from './patience.ts';
import { Tally } from './tally.ts';

const MAX_IMAGES = 100_000;
export const MAX_CONCURRENCY = 32;
const PROGRESS_INTERVAL_MS = 250;

/**
 * What was fetched is kept whatever ends the run: the next one goes on from there. It ends when it is not read any
 * more; downloads that run then go on as they do when a client leaves.
 * @param origin for what it pins: empty for a person, else the list of a schedule
 * @param isPinWanted asked before each is pinned: whoever wanted it may have changed their mind meanwhile
 * @throws RefusedError at once
 */
export function prewarm(
  request: PrewarmRequest,
  origin: string,
  parts: AirgapParts,
  isPinWanted: () => boolean = () => true,
): AsyncGenerator<PrewarmEvent> {
  const { images, concurrency, platforms, isDryRun } = request;
  if (images.length === 0)
    throw new RefusedError(400, 'no images: name some, or give a list of them with -f');
  if (images.length > MAX_IMAGES)
    throw new RefusedError(400, `more than ${MAX_IMAGES} images: split the list`);
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY)
    throw new RefusedError(400, `concurrency is 1 to ${MAX_CONCURRENCY}`);
  for (const chosen of [platforms, ...images.map((image) => image.platforms ?? [])]) choiceOf(chosen);
  if (parts.isOffline() && !isDryRun)
    throw new RefusedError(409, 'hubcap is offline, and asks no registry: run `hubcap offline off` before');
  return run({ request, origin, isPinWanted, parts });
}

type RunParts = Pick<FetchContext, 'request' | 'origin' | 'isPinWanted' | 'parts'>;

async function* run(given: RunParts): AsyncGenerator<PrewarmEvent> {
  const { request, parts } = given;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // each layer that is waited for listens; `MAX_CONCURRENCY` bounds them
  // All that the list needs is kept until the end: an image that pushes out another one is no image that was fetched.
  const hold = parts.pins.hold();
  const events = new EventQueue<PrewarmEvent>();
  const tally = new Tally(request.images.length, parts);
  const tell = (event: PrewarmEvent): void => events.push(event);
  const context = { ...given, sinceMs: parts.now(), tally, hold, tell, signal: stop.signal };
  const working = work(context).finally(() => events.end());
  working.catch(() => undefined); // told below
  const beat = setInterval(() => events.offer(tally.progress()), PROGRESS_INTERVAL_MS);
  try {
    yield* events.read();
    const failures = await working;
    yield tally.progress();
    const forecast = request.isDryRun ? forecastOf(tally, parts) : undefined;
    yield { kind: 'report', ...tally.report(request.isDryRun), failures, forecast };
  } finally {
    clearInterval(beat);
    stop.abort();
    await Promise.race([working.catch(() => undefined), wait(1_000, undefined, { ref: false })]);
    await hold.release();
  }
}

/** An image of the list, and what is known of it when it is put off. */
interface Task {
  item: PrewarmItem;
  host: string;
  /** its name in full; as it was given where it is none */
  text: string;
  pulled: Set<Digest>;
  /** when it is not waited for any longer; undefined before it is */
  endMs: number | undefined;
}

async function work(context: FetchContext): Promise<PrewarmFailure[]> {
  const { request, tally, tell, signal, parts } = context;
  const tasks = request.images.map((item) => toTask(item, parts));
  const queue = new ImageQueue(tasks, signal);
  const failures: PrewarmFailure[] = [];
  const one = async (task: Task): Promise<void> => {
    const { item, pulled } = task;
    try {
      const image = await fetchImage(item, { ...context, pulled });
      if (!image) return;
      tally.done();
      tell({ kind: 'image', ...image });
    } catch (error) {
      if (signal.aborted || isPutOff(task, error, queue, context)) return;
      const message = error instanceof Error ? error.message : String(error);
      tally.failed();
      failures.push({ reference: item.reference, message });
      tell({ kind: 'failure', reference: item.reference, message });
    }
  };
  const worker = async (): Promise<void> => {
    for (let task = await queue.next(); task; task = await queue.next()) await one(task);
  };
  await Promise.all(Array.from({ length: request.concurrency }, worker));
  return failures;
}

/** Whether a limit is waited for. What came of the image is kept: it goes on from there. */
function isPutOff(
  task: Task,
  error: unknown,
  queue: ImageQueue<Task>,
  { request, parts, tell }: FetchContext,
): boolean {
  const waitMs = request.isPatient && !request.isDryRun ? limitWaitMs(error) : undefined;
  if (waitMs === undefined) return false;
  const nowMs = parts.now();
  task.endMs ??= nowMs + MAX_WAIT_MS;
  if (nowMs + waitMs > task.endMs) return false;
  const message = error instanceof Error ? error.message : String(error);
  const until = new Date(nowMs + waitMs).toISOString();
  if (queue.putOff(task, waitMs)) tell({ kind: 'waiting', reference: task.text, until, message });
  return true;
}

/** What is no name fails when its turn comes. */
function toTask(item: PrewarmItem, { upstreams }: AirgapParts): Task {
  const name = parseFullName(item.reference);
  const host = upstreams.named(name?.host ?? '')?.host ?? name?.host ?? '';
  const text = name ? fullNameText({ ...name, host }) : item.reference;
  return { item, host, text, pulled: new Set(), endMs: undefined };
}
