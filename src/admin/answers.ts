/** Owns the answers of the admin listener and the control socket: text, a document, or lines of JSON. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { release } from '../chunk-memory.ts';
import type { Logger } from '../log.ts';
import { RefusedError } from '../refused-error.ts';

interface WholeAnswer {
  status: number;
  type: string;
  body: string | Buffer;
  /** the body, compressed; made where it is left out */
  gzip?: Buffer;
  /** beside those that every answer has */
  headers?: Readonly<Record<string, string>>;
}

/** One JSON line per item: neither side holds them all. */
interface LinesAnswer {
  items: Iterable<unknown> | AsyncIterable<unknown>;
}

/** A line of JSON, then bytes. */
interface HeadedAnswer {
  head: unknown;
  bytes: AsyncIterable<Buffer>;
}

export type Answer = WholeAnswer | LinesAnswer | HeadedAnswer;

/** Who asks. */
export interface Caller {
  /** of the peer, as the kernel says; undefined on a socket without addresses */
  address: string | undefined;
  headers: IncomingHttpHeaders;
  /** `1.1` */
  httpVersion: string;
}

/** What can be asked at a path. */
export interface AdminRoute<S> {
  /** GET goes for HEAD too; what changes anything is a POST */
  method: 'GET' | 'POST';
  /** @throws RefusedError */
  answer(
    services: S,
    query: URLSearchParams,
    body: AsyncIterable<Buffer>,
    caller: Caller,
  ): Answer | Promise<Answer>;
}

export type AdminRoutes<S> = Readonly<Record<string, AdminRoute<S>>>;

export function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

export function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

/** Items are read while they are sent, and no longer when the client leaves. */
export function lines(items: LinesAnswer['items']): Answer {
  return { items };
}

/** @param bytes sent as they come, and no longer read when the client leaves */
export function headed(head: unknown, bytes: AsyncIterable<Buffer>): Answer {
  return { head, bytes };
}

const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024;
const DOCUMENT_DEADLINE_MS = 60_000;

/**
 * Reads a request's document.
 * @param deadlineMs until it is here as a whole
 * @throws RefusedError where it is none
 */
export async function readJson(
  body: AsyncIterable<Buffer>,
  deadlineMs = DOCUMENT_DEADLINE_MS,
): Promise<unknown> {
  const stalled = Promise.withResolvers<never>();
  const refusal = new RefusedError(400, 'the request does not come to its end: send it again');
  const timer = setTimeout(() => stalled.reject(refusal), deadlineMs);
  try {
    return parseJson(await Promise.race([readText(body), stalled.promise]));
  } finally {
    clearTimeout(timer);
  }
}

/** @throws RefusedError where it is no JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RefusedError(400, 'the request is no JSON: is it another version of hubcap?');
  }
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_DOCUMENT_BYTES)
      throw new RefusedError(400, 'the request is too large: ask for less at once');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Answers a request by what is at its path, whatever happens. */
export async function answerByRoute<S extends { log: Logger }>(
  request: IncomingMessage,
  response: ServerResponse,
  routes: AdminRoutes<S>,
  services: S,
): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  try {
    await send(request, response, await find(request, path, query, routes, services));
    await passOver(request);
    response.end();
  } catch (error) {
    if (isClientGone(error)) return; // what it asked for ends with it
    services.log.error({ error, path }, 'admin request failed');
    if (response.headersSent) response.destroy();
    else response.writeHead(500).end();
  }
}

async function find<S>(
  request: IncomingMessage,
  path: string,
  query: string,
  routes: AdminRoutes<S>,
  services: S,
): Promise<Answer> {
  const { method = '' } = request;
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const isReading = method === 'GET' || method === 'HEAD';
  const isPost = route?.method === 'POST';
  if (isPost && method !== 'POST') return notAllowed('POST', 'this changes something: use POST');
  if (!isPost && !isReading) return notAllowed('GET, HEAD', 'this can only be read: use GET');
  if (!route) return text(404, `there is nothing here: see ${Object.keys(routes).join(', ')}\n`);
  try {
    // Who reads no further is answered all the same: the connection does not end with the reading.
    const body = request.iterator({ destroyOnReturn: false });
    const { socket, headers, httpVersion } = request;
    const caller = { address: socket.remoteAddress, headers, httpVersion };
    return await route.answer(services, new URLSearchParams(query), body, caller);
  } catch (error) {
    if (error instanceof RefusedError) return text(error.status, `${error.message}\n`);
    throw error;
  }
}

/** RFC 9110, section 15.5.6 */
function notAllowed(allow: string, why: string): Answer {
  return { status: 405, type: 'text/plain; charset=utf-8', body: `${why}\n`, headers: { allow } };
}

/** For a client to hear that nothing more is wanted of it, and to leave. */
const PASSING_OVER_MS = 10_000;

/**
 * Reads what nobody wanted to read. The answer ends after it: that ends the connection, and a client that is still
 * sending then would be told of a broken one instead of what was answered (RFC 9112, section 9.6).
 */
async function passOver(request: IncomingMessage): Promise<void> {
  request.resume();
  if (request.complete) return;
  const signal = AbortSignal.timeout(PASSING_OVER_MS);
  await finished(request, { signal }).catch(() => undefined); // it has left, or goes on sending for ever
}

/** Sends all of an answer but its end. */
async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  const isHead = request.method === 'HEAD';
  if ('items' in answer) {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
    await pipeline(Readable.from(isHead ? [] : jsonLines(answer.items)), response, { end: false });
    return;
  }
  if ('head' in answer) {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    if (!isHead) await sendBytes(response, headedBytes(answer));
    return;
  }
  const { status, type, headers } = answer;
  const isWorth = answer.gzip !== undefined || Buffer.byteLength(answer.body) >= MIN_COMPRESSED_BYTES;
  const isCompressed = isWorth && takesGzip(request.headers['accept-encoding']);
  const body = isCompressed ? (answer.gzip ?? (await compress(answer.body))) : answer.body;
  response.writeHead(status, {
    'content-type': type,
    ...(status !== 304 && { 'content-length': Buffer.byteLength(body) }),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'cross-origin-resource-policy': 'same-origin',
    ...(isWorth && { vary: 'accept-encoding' }),
    ...(isCompressed && { 'content-encoding': 'gzip' }),
    ...headers,
  });
  if (!isHead && body.length > 0) response.write(body);
}

/** What fits into one packet is not made smaller. */
const MIN_COMPRESSED_BYTES = 1200;
const compress = promisify(gzip);

/** RFC 9110, section 12.5.3, as far as browsers and Prometheus use it */
function takesGzip(accepted: string | string[] | undefined): boolean {
  const match = /\bgzip\b\s*(?:;\s*q=([\d.]+))?/i.exec(String(accepted ?? ''));
  return match !== null && Number(match[1] ?? 1) > 0;
}

/** One chunk is on its way to the client while the next is read. @throws where the client has left */
async function sendBytes(response: ServerResponse, chunks: AsyncIterable<Buffer>): Promise<void> {
  let sending = Promise.resolve();
  for await (const chunk of chunks) {
    await sending;
    sending = write(response, chunk);
    sending.catch(() => undefined); // told when the next is there, or at the end
  }
  await sending;
}

/** Resolves when the chunk is with the kernel: its memory may be used again. @throws where the client has left */
function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(chunk, (error) => {
      release(chunk);
      if (error) reject(error);
      else resolve();
    });
  });
}

async function* headedBytes({ head, bytes }: HeadedAnswer): AsyncGenerator<Buffer> {
  yield Buffer.from(`${JSON.stringify(head)}\n`);
  yield* bytes;
}

async function* jsonLines(items: LinesAnswer['items']): AsyncGenerator<string> {
  for await (const item of items) yield `${JSON.stringify(item)}\n`;
}

function isClientGone(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED', 'EPIPE', 'ECONNRESET', 'ECANCELED'].includes(
    String(error.code),
  );
}
