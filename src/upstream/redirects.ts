/** Owns the way from a registry to where it keeps its content: followed without credentials, never remembered. */
import { UpstreamError } from './errors.ts';
import { parseRetryAfter } from './rate-limit.ts';
import { type Answer, discardBody, type Question, type Transport } from './transport.ts';

const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/** @returns the size of the whole content in bytes, where the answer tells it */
export function contentSize(answer: Answer): number | undefined {
  const text =
    answer.status === 206 || answer.status === 416
      ? answer.header('content-range')?.match(/\/(\d{1,15})$/)?.[1]
      : answer.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/**
 * Follows an answer to where the content is.
 * @param from the registry's address; from HTTPS nothing leads to plain HTTP
 * @returns an answer with status 200, 206 or 416
 * @throws UpstreamError for any other; its `host` is the one that answered, its text holds no query (it is signed)
 */
export async function followRedirects(
  transport: Transport,
  from: URL,
  first: Answer,
  question: Pick<Question, 'method' | 'headers' | 'signal' | 'lane'>,
): Promise<Answer> {
  let answer = first;
  let url = from;
  for (let hops = 0; isRedirect(answer.status); hops++) {
    await discardBody(answer);
    url = nextLocation(url, answer.header('location'), hops);
    answer = await transport.send({ ...question, url });
  }
  if (answer.status === 200 || answer.status === 206 || answer.status === 416) return answer;
  await discardBody(answer);
  throw refusedBy(url.host, answer);
}

function nextLocation(current: URL, location: string | undefined, hops: number): URL {
  const fail = (why: string): UpstreamError =>
    new UpstreamError(`${current.host}: ${why}`, { reason: 'redirect', host: current.host });
  if (hops >= MAX_REDIRECTS) throw fail(`it redirects more than ${MAX_REDIRECTS} times`);
  if (location === undefined || !URL.canParse(location, current))
    throw fail('it redirects to no valid address');
  const next = new URL(location, current);
  const isAllowed = next.protocol === 'https:' || (next.protocol === 'http:' && current.protocol === 'http:');
  if (!isAllowed || next.username || next.password) throw fail(`it redirects to a ${next.protocol} address`);
  return next;
}

/** A CDN that says 403 or 404 may mean that the signed address has expired: the registry is asked again. */
function refusedBy(host: string, { status, header }: Answer): UpstreamError {
  if (status === 429) {
    const retryAfterMs = parseRetryAfter(header('retry-after'), Date.now());
    const facts = { reason: 'throttled', host, status } as const;
    const message = `${host} limits the rate`;
    return new UpstreamError(message, retryAfterMs === undefined ? facts : { ...facts, retryAfterMs });
  }
  const reason = status >= 500 ? 'server-error' : status < 400 ? 'bad-answer' : 'redirect';
  return new UpstreamError(`${host} answered ${status}`, { reason, host, status });
}
