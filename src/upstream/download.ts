/** Owns one blob on its way here: breaks are resumed where they happened, for as long as there is progress. */
import { transportFailure, UpstreamError } from './errors.ts';
import { contentSize } from './redirects.ts';
import { pause, withRetries } from './retry.ts';
import { type Answer, destroyBody } from './transport.ts';

export interface Download {
  /** of the whole blob in bytes, undefined where upstream does not say */
  size: number | undefined;
  /** from the offset that was asked for to the end; throws UpstreamError where the rest cannot be had */
  chunks: AsyncIterable<Buffer>;
}

export interface DownloadOptions {
  /** offset in bytes */
  from: number;
  /** attempts without progress before it is given up */
  retries: number;
  signal: AbortSignal;
  /** for the head of each answer */
  answerDeadlineMs: number;
  host: string;
  /** asks the registry, which redirects afresh each time: a signed address is never used twice */
  open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Answer | undefined>;
  received: (bytes: number) => void;
  resumed: () => void;
}

/**
 * Opens a download and waits for the head of the answer.
 * @returns undefined where upstream has no such blob
 * @throws UpstreamError
 */
export async function openDownload(options: DownloadOptions): Promise<Download | undefined> {
  const { retries, signal, from, answerDeadlineMs } = options;
  // Whoever waits for the head waits for all attempts together: clients give up after 30 s (containerd).
  const until = AbortSignal.any([signal, AbortSignal.timeout(answerDeadlineMs)]);
  const first = await withRetries(retries, until, () => openAt(options, from, undefined, undefined));
  return first && { size: first.size, chunks: resuming(options, first) };
}

interface Part {
  answer: Answer;
  size: number | undefined;
  /** bytes at the start of this answer that were received before */
  skip: number;
  /** a strong validator, for `If-Range` */
  etag: string | undefined;
}

async function* resuming(options: DownloadOptions, first: Part): AsyncGenerator<Buffer, void, void> {
  let part = first;
  let position = options.from;
  let failure: unknown;
  for (let attempt = 0; ; ) {
    try {
      for await (const chunk of contentOf(part, options.host)) {
        options.received(chunk.length);
        position += chunk.length;
        attempt = 0;
        yield chunk;
      }
      if (part.size === undefined || position >= part.size) return;
      failure = cutShort(options.host, part.size - position);
    } catch (error) {
      failure = transportFailure(options.host, error);
    }
    attempt += 1;
    part = await reopen(options, part, position, attempt, failure);
    options.resumed();
  }
}

/** Waits, and asks for the rest. @throws `failure` where trying again makes no sense or was tried often enough */
async function reopen(
  options: DownloadOptions,
  last: Part,
  position: number,
  attempt: number,
  failure: unknown,
): Promise<Part> {
  const isTransient = failure instanceof UpstreamError && failure.isTransient;
  options.signal.throwIfAborted();
  if (!isTransient || attempt > options.retries) throw failure;
  await pause(attempt, options.signal);
  const open = () => openAt(options, position, last.etag, last.size);
  const part = await withRetries(options.retries - attempt, options.signal, open).catch((error: unknown) => {
    options.signal.throwIfAborted(); // whoever stopped it knows better why it ended
    throw error;
  });
  if (part) return part;
  throw new UpstreamError(`${options.host}: the blob disappeared during its download`, {
    reason: 'bad-answer',
    host: options.host,
    status: 404,
  });
}

async function openAt(
  options: DownloadOptions,
  position: number,
  etag: string | undefined,
  expectedSize: number | undefined,
): Promise<Part | undefined> {
  const headers: Record<string, string> = position > 0 ? { range: `bytes=${position}-` } : {};
  if (position > 0 && etag !== undefined) headers['if-range'] = etag;
  const answer = await withHeadDeadline(options, (signal) => options.open(headers, signal));
  if (!answer) return undefined;
  const size = contentSize(answer);
  const wrong = whatIsWrong(answer, position, size, expectedSize);
  if (wrong !== undefined) {
    destroyBody(answer);
    throw new UpstreamError(`${options.host}: ${wrong}`, { reason: 'bad-answer', host: options.host });
  }
  // An answer to the whole (no range support, or other content behind the validator) is skipped up to the frontier.
  return { answer, size, skip: answer.status === 200 ? position : 0, etag: etag ?? strongValidator(answer) };
}

const REFUSED_RANGE = 'it refuses a range that should exist';

function whatIsWrong(
  answer: Answer,
  position: number,
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
  const start = answer.header('content-range')?.match(/^bytes (\d{1,15})-/)?.[1];
  return Number(start) === position ? undefined : `it was asked for bytes from ${position} and sends others`;
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

/** The deadline covers the head alone: a body takes as long as it makes progress. */
async function withHeadDeadline<T>(
  { signal, answerDeadlineMs, host }: DownloadOptions,
  open: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const abort = new AbortController();
  signal.addEventListener('abort', () => abort.abort(signal.reason), { signal: abort.signal });
  const late = new UpstreamError(`${host}: it did not answer in time`, { reason: 'timeout', host });
  const timer = setTimeout(() => abort.abort(late), answerDeadlineMs);
  try {
    return await open(abort.signal);
  } finally {
    clearTimeout(timer);
  }
}

function strongValidator(answer: Answer): string | undefined {
  const etag = answer.header('etag');
  return etag?.startsWith('"') ? etag : undefined;
}
