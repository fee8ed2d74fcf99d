/** Owns one blob on its way here: breaks are resumed where they happened, for as long as there is progress. */
import { transportFailure, UpstreamError } from './errors.ts';
import type { OfflineSwitch } from './offline-switch.ts';
import { contentSize } from './redirects.ts';
import { pause, pauseMs, withRetries } from './retry.ts';
import { type Answer, type BlobLane, destroyBody } from './transport.ts';

export interface Download {
  /** of the whole blob in bytes, undefined where upstream does not say */
  size: number | undefined;
  /** from the offset that was asked for to the end; throws UpstreamError where the rest cannot be had */
  chunks: AsyncIterable<Buffer>;
}

/** What is wanted of a blob. */
export interface WantedBlob {
  /** offset in bytes */
  from: number;
  /** where it ends (excluded); undefined: with the blob. An upstream that knows no ranges is then an error */
  to?: number | undefined;
  signal: AbortSignal;
  lane: BlobLane;
  /** whether it is the rest of a download that was interrupted on purpose: tried like one that broke */
  isPatient?: boolean;
}

export interface DownloadOptions extends WantedBlob {
  /** attempts at the head, and at least so many without progress later */
  retries: number;
  /** for how long a download that has begun is tried again without progress */
  stallMs: number;
  /** for the head of each answer */
  answerDeadlineMs: number;
  host: string;
  /**
   * Asks the registry, which redirects afresh each time: a signed address is never used twice.
   * @param check ends an answer that is not what was asked for, and throws; `host` is who gave it
   */
  open: (headers: Record<string, string>, signal: AbortSignal, check: Check) => Promise<Answer | undefined>;
  received: (bytes: number) => void;
  resumed: () => void;
  offline?: OfflineSwitch;
  now: () => number;
}

export type Check = (answer: Answer, host: string) => void;

/**
 * Opens a download and waits for the head of the answer.
 * @returns undefined where upstream has no such blob
 * @throws UpstreamError
 */
export async function openDownload(options: DownloadOptions): Promise<Download | undefined> {
  const { retries, signal, from, answerDeadlineMs, now } = options;
  // Whoever waits for the head waits for all attempts together: clients give up after 30 s (containerd).
  const until = AbortSignal.any([signal, AbortSignal.timeout(answerDeadlineMs)]);
  const untilMs = now() + answerDeadlineMs;
  const first = options.isPatient
    ? await openPatiently(options)
    : await withRetries(
        retries,
        until,
        () => openAt(options, from, undefined, Math.max(1, untilMs - now())),
        options.offline,
      );
  return first && { size: first.size, chunks: resuming(options, first) };
}

interface Part {
  answer: Answer;
  size: number | undefined;
  /** bytes at the start of this answer that were received before */
  skip: number;
  /** a strong validator, for `If-Range` */
  etag: string | undefined;
  /** the body has been read, or is given up */
  release: () => void;
}

/** A time without progress: since when, and what was tried in it. */
interface Stall {
  sinceMs: number;
  attempts: number;
}

async function* resuming(options: DownloadOptions, first: Part): AsyncGenerator<Buffer, void, void> {
  let part = first;
  let position = options.from;
  let stall: Stall | undefined;
  for (;;) {
    let failure: unknown;
    const end = options.to ?? part.size;
    try {
      for await (const chunk of contentOf(part, options.host)) {
        options.received(chunk.length);
        position += chunk.length;
        stall = undefined;
        yield chunk;
      }
      if (end === undefined) return;
    } catch (error) {
      failure = transportFailure(options.host, error);
    } finally {
      part.release();
    }
    if (end !== undefined && position >= end) return; // also where the connection broke behind the last byte
    failure ??= cutShort(options.host, (end ?? position) - position);
    stall ??= { sinceMs: options.now(), attempts: 0 };
    part = await reopen(options, part, position, stall, failure);
    options.resumed();
  }
}

async function openPatiently(options: DownloadOptions): Promise<Part | undefined> {
  const { from, answerDeadlineMs, now } = options;
  try {
    return await openAt(options, from, undefined, answerDeadlineMs);
  } catch (error) {
    return await reopen(options, undefined, from, { sinceMs: now(), attempts: 0 }, error);
  }
}

/** Waits, and asks for the rest. @throws what failed last, where trying again makes no sense or was done for long enough */
async function reopen(
  options: DownloadOptions,
  last: Part | undefined,
  position: number,
  stall: Stall,
  failure: unknown,
): Promise<Part> {
  let latest = failure;
  for (;;) {
    options.signal.throwIfAborted();
    stall.attempts += 1;
    const waitMs = pauseBefore(options, stall, latest);
    if (waitMs === undefined) throw latest;
    await pause(waitMs, options.signal, options.offline);
    try {
      const part = await openAt(options, position, last, options.answerDeadlineMs);
      if (part) return part;
      latest = disappeared(options.host);
    } catch (error) {
      options.signal.throwIfAborted(); // whoever stopped it knows better why it ended
      latest = error;
    }
  }
}

/** @returns ms to wait before the next attempt, undefined where there is none to make */
function pauseBefore(
  { retries, stallMs, now }: DownloadOptions,
  stall: Stall,
  failure: unknown,
): number | undefined {
  if (!(failure instanceof UpstreamError)) return undefined;
  // An endpoint that is left alone, or that limits the rate, is asked again at its time.
  const isToWait = failure.reason === 'throttled' || failure.isFromMemory;
  if (!failure.isTransient && !isToWait) return undefined;
  const waitMs = Math.max(pauseMs(stall.attempts, Math.random()), failure.retryAfterMs ?? 0);
  // How long to wait is then upstream's word, and the wait itself is no attempt.
  const elapsedMs = now() - stall.sinceMs;
  const isInTime = isToWait ? Math.max(elapsedMs, waitMs) <= stallMs : elapsedMs + waitMs <= stallMs;
  return isInTime || (stall.attempts <= retries && !isToWait) ? waitMs : undefined;
}

function disappeared(host: string): UpstreamError {
  const status = 404;
  return new UpstreamError(`${host}: the blob disappeared during its download`, {
    reason: 'bad-answer',
    host,
    status,
  });
}

async function openAt(
  options: DownloadOptions,
  position: number,
  last: Part | undefined,
  deadlineMs: number,
): Promise<Part | undefined> {
  const asked = rangeHeaders(options, position, last?.etag);
  const check: Check = (answer, host) => {
    const wrong =
      options.to !== undefined && answer.status !== 206
        ? 'it gives no part of a blob'
        : whatIsWrong(answer, { position, to: options.to }, contentSize(answer), last?.size);
    if (wrong === undefined) return;
    destroyBody(answer);
    throw new UpstreamError(`${host}: ${wrong}`, { reason: 'bad-answer', host });
  };
  const { answer, release } = await withHeadDeadline(options, deadlineMs, (signal) =>
    options.open(asked, signal, check),
  );
  if (!answer) return undefined;
  // An answer to the whole (no range support, or other content behind the validator) is skipped up to the frontier.
  const skip = answer.status === 200 ? position : 0;
  return { answer, size: contentSize(answer), skip, etag: last?.etag ?? strongValidator(answer), release };
}

function rangeHeaders(
  { to }: DownloadOptions,
  position: number,
  etag: string | undefined,
): Record<string, string> {
  if (position === 0 && to === undefined) return {};
  const range = `bytes=${position}-${to === undefined ? '' : to - 1}`;
  return { range, ...(etag !== undefined && { 'if-range': etag }) };
}

const REFUSED_RANGE = 'it refuses a range that should exist';

function whatIsWrong(
  answer: Answer,
  { position, to }: { position: number; to: number | undefined },
  size: number | undefined,
  expectedSize: number | undefined,
): string | undefined {
  const encoding = answer.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity')
    return `it sends ${encoding} although identity was asked for`;
  if (expectedSize !== undefined && size !== expectedSize)
    return `it says ${size} bytes, and said ${expectedSize} before`;
  if (answer.status === 416) return size === position ? undefined : REFUSED_RANGE;
  if (answer.status !== 206) return undefined;
  const [, start, last] = answer.header('content-range')?.match(/^bytes (\d{1,15})-(\d{1,15})\//) ?? [];
  const isWanted = Number(start) === position && (to === undefined || Number(last) < to);
  return isWanted ? undefined : `it was asked for bytes from ${position} and sends others`;
}

async function* contentOf({ answer, skip }: Part, host: string): AsyncGenerator<Buffer, void, void> {
  if (answer.status === 416) {
    destroyBody(answer);
    return; // everything was there already
  }
  let toSkip = skip;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    if (chunk.length <= toSkip) {
      toSkip -= chunk.length;
    } else {
      yield toSkip > 0 ? chunk.subarray(toSkip) : chunk;
      toSkip = 0;
    }
  }
  if (toSkip > 0) throw cutShort(host, toSkip);
}

function cutShort(host: string, bytes: number): UpstreamError {
  return new UpstreamError(`${host}: the connection ended ${bytes} bytes early`, { reason: 'reset', host });
}

/**
 * The deadline covers the head alone: a body takes as long as it makes progress. The signal that `open` gets also
 * ends the body, until `release` is called.
 */
async function withHeadDeadline(
  { signal, host }: DownloadOptions,
  deadlineMs: number,
  open: (signal: AbortSignal) => Promise<Answer | undefined>,
): Promise<{ answer: Answer | undefined; release: () => void }> {
  signal.throwIfAborted();
  const abort = new AbortController();
  const pass = (): void => abort.abort(signal.reason);
  const release = (): void => signal.removeEventListener('abort', pass);
  signal.addEventListener('abort', pass, { once: true });
  // Who was silent, the registry or what it sends to, is named by who was asked.
  const late = new DOMException('it did not answer in time', 'TimeoutError');
  const timer = setTimeout(() => abort.abort(late), deadlineMs);
  let answer: Answer | undefined;
  try {
    answer = await open(abort.signal);
  } catch (error) {
    throw error === late ? transportFailure(host, late) : error;
  } finally {
    clearTimeout(timer);
    if (!answer) release();
  }
  return { answer, release };
}

function strongValidator(answer: Answer): string | undefined {
  const etag = answer.header('etag');
  return etag?.startsWith('"') ? etag : undefined;
}
