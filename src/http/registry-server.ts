/** Owns the registry listener: limits, one answer and one log line per request, draining. */
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Blobs } from '../mirror/blobs.ts';
import type { Listings } from '../mirror/listings.ts';
import type { Manifests } from '../mirror/manifests.ts';
import type { MirroredUpstream, UpstreamTable } from '../mirror/mirrored-upstream.ts';
import { refusalOf } from '../mirror/miss-reason.ts';
import { RegistryError } from '../oci/registry-error.ts';
import { refusalStatus } from '../outcome.ts';
import { answerBlob } from './blobs.ts';
import { BufferPool } from './buffers.ts';
import { errorBody, sendError, toClientError } from './errors.ts';
import { type Exchange, newRecord, sendHead } from './exchange.ts';
import { answerCatalog, answerReferrers, answerTags } from './listings.ts';
import { answerManifest } from './manifests.ts';
import { parseRoute } from './route.ts';
import { ClientGoneError } from './send-blob.ts';

export interface HttpLimits {
  headerTimeoutMs: number;
  idleTimeoutMs: number;
  keepAliveMs: number;
  maxConnections: number;
}

export interface RegistryServerOptions {
  upstreams: UpstreamTable;
  manifests: Manifests;
  blobs: Blobs;
  listings: Listings;
  limits: HttpLimits;
  /** then no connection is kept for another request */
  isDraining: () => boolean;
  /** told once per request, when it has ended; `isAborted` where the client left before the end */
  ended: (exchange: Exchange, facts: { durationMs: number; firstByteMs: number; isAborted: boolean }) => void;
}

const MAX_HEADER_BYTES = 16 * 1024;
/** Registry clients do not pipeline; each request that waits for its turn would hold buffers and a file. */
const MAX_PIPELINED = 8;

export interface RegistryServer {
  /** not listening yet */
  server: Server;
  /** Resolves when no request is being answered; a client that left does not end the work for it. */
  settled(): Promise<void>;
  /** Has other limits from the next request of each connection on; none is ended for it. */
  limit(limits: HttpLimits): void;
}

/** Makes the registry listener: each request is answered, counted and logged once, whatever happens to it. */
export function createRegistryServer(options: RegistryServerOptions): RegistryServer {
  const running = new Set<Promise<void>>();
  const buffers = new BufferPool();
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    connectionsCheckingInterval: Math.min(5_000, options.limits.headerTimeoutMs),
    noDelay: true,
    requireHostHeader: false, // Node's own refusal is no OCI error: see `answer`
  });
  let limits = options.limits;
  const limit = (next: HttpLimits): void => {
    limits = next;
    server.headersTimeout = next.headerTimeoutMs;
    server.requestTimeout = next.headerTimeoutMs;
    server.keepAliveTimeout = next.keepAliveMs;
    server.maxConnections = next.maxConnections;
  };
  limit(limits);
  const answering = new WeakMap<Duplex, number>();
  server.on('clientError', (error, socket) => {
    // What is written now would become a part of the answer that is on its way.
    if ((answering.get(socket) ?? 0) > 0) socket.destroy();
    else answerUnparsable(error, socket);
  });
  server.on('checkExpectation', (_request, response) => {
    response.shouldKeepAlive = false;
    sendError(response, badRequest('no expectation but 100-continue is met', 417), false);
  });
  server.on('request', (request, response) => {
    const isHead = request.method === 'HEAD';
    const exchange: Exchange = {
      request,
      response,
      isHead,
      idleMs: limits.idleTimeoutMs,
      record: newRecord(),
    };
    const startedAt = performance.now();
    if (options.isDraining()) response.shouldKeepAlive = false;
    const { socket } = request;
    const atOnce = (answering.get(socket) ?? 0) + 1;
    answering.set(socket, atOnce);
    response.once('close', () => {
      answering.set(socket, (answering.get(socket) ?? 1) - 1);
      const { firstByteAt } = exchange.record;
      options.ended(exchange, {
        durationMs: performance.now() - startedAt,
        firstByteMs: (firstByteAt ?? performance.now()) - startedAt,
        isAborted: !response.writableFinished,
      });
    });
    if (atOnce > MAX_PIPELINED) {
      socket.destroy();
      return;
    }
    const answered = answer(exchange, options, buffers)
      .catch((error: unknown) => fail(exchange, error))
      .finally(() => running.delete(answered));
    running.add(answered);
  });
  const settled = async (): Promise<void> => {
    await Promise.all(running);
  };
  return { server, settled, limit };
}

async function answer(
  exchange: Exchange,
  options: RegistryServerOptions,
  buffers: BufferPool,
): Promise<void> {
  const { request, response, record } = exchange;
  if (request.headers.host === undefined && request.httpVersion === '1.1') {
    throw badRequest('the Host header is missing', 400);
  }
  const line = { method: request.method ?? 'GET', url: request.url ?? '/', host: request.headers.host };
  const route = parseRoute<MirroredUpstream>(line, options.upstreams);
  switch (route.kind) {
    case 'manifest':
      return await answerManifest(exchange, route, options.manifests);
    case 'blob':
      return await answerBlob(exchange, route, { blobs: options.blobs, buffers });
    case 'tags':
      return await answerTags(exchange, route, options.listings);
    case 'referrers':
      return await answerReferrers(exchange, route, options.listings);
    case 'catalog':
      return answerCatalog(exchange, route, options.listings);
    case 'base':
      record.kind = 'base';
      record.outcome = 'hit';
      sendHead(exchange, 200, { 'content-type': 'application/json', 'content-length': 2 });
      response.end(exchange.isHead ? undefined : '{}');
  }
}

function badRequest(message: string, status: number): RegistryError {
  return new RegistryError(message, { code: 'UNSUPPORTED', status });
}

function fail({ response, isHead, record, idleMs }: Exchange, error: unknown): void {
  if (error instanceof ClientGoneError || response.destroyed) {
    response.destroy();
    return;
  }
  const shown = toClientError(error);
  record.error = shown.cause ?? shown.message;
  record.refusal = record.upstream === 'none' ? undefined : refusalOf(shown);
  record.outcome = shown.status === 404 ? 'absent' : shown.code === 'DENIED' ? 'denied' : 'error';
  record.firstByteAt ??= performance.now();
  if (shown.status === 405 || shown.status === 414) response.shouldKeepAlive = false; // a body may follow
  response.socket?.setTimeout(idleMs);
  const { outcome, refusal } = record;
  const status = refusal && refusalStatus(outcome, refusal.cause ?? refusal.reason);
  sendError(response, shown, isHead, status === undefined ? {} : { 'cache-status': status });
}

/** What the parser refuses never becomes a request: the answer is written by hand. */
function answerUnparsable(error: Error, socket: Duplex): void {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, reason, message] =
    code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', `the header is larger than ${MAX_HEADER_BYTES} bytes`]
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'the request did not arrive in time']
        : [400, 'Bad Request', 'this is no HTTP request'];
  const body = errorBody(badRequest(String(message), Number(status)));
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`);
}
