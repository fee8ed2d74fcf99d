/** Owns the admin listener and the control socket: what is seen from outside, read-only over TCP. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Registry } from 'prom-client';
import type { Logger } from '../log.ts';
import type { VerifyEvent } from '../store/verify.ts';
import type { ImageStatus, Status } from './status.ts';
import { VerifyRefusedError } from './verifier.ts';

/** Everything that can be asked of a running hubcap, over TCP or the socket. */
export interface AdminServices {
  metrics: Registry;
  status: () => Status;
  images: () => Iterable<ImageStatus>;
  /** @throws VerifyRefusedError at once */
  verify: (reference: string | undefined) => AsyncIterable<VerifyEvent>;
  /** tries what serving needs; the reasons why it is not ready, empty where it is */
  notReady: () => Promise<string[]>;
  log: Logger;
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

const READ_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  maxHeaderSize: 16 * 1024,
};

/** Makes the TCP listener's server; it is not listening yet. */
export function createAdminServer(services: AdminServices): Server {
  return createServer(READ_LIMITS, (request, response) => {
    answerSafely(request, response, services, () => answerAdmin(request, services));
  });
}

/** Makes the control socket's server. Who may connect may ask for everything: the socket's mode is the permission. */
export function createControlServer(services: AdminServices): Server {
  return createServer(READ_LIMITS, (request, response) => {
    answerSafely(request, response, services, () => answerControl(request, response, services), [
      '/v1/verify',
    ]);
  });
}

async function answerControl(
  request: IncomingMessage,
  response: ServerResponse,
  services: AdminServices,
): Promise<Answer | undefined> {
  switch (pathOf(request)) {
    case '/v1/status':
      return json(200, services.status());
    case '/v1/images':
      await streamLines(response, services.images());
      return undefined;
    case '/v1/verify':
      return await answerVerify(request, response, services);
    default:
      return notFound();
  }
}

async function answerVerify(
  request: IncomingMessage,
  response: ServerResponse,
  services: AdminServices,
): Promise<Answer | undefined> {
  if (request.method !== 'POST') return text(405, 'this changes the store: use POST\n');
  const reference = new URL(request.url ?? '/', 'http://localhost').searchParams.get('reference');
  try {
    const events = services.verify(reference ?? undefined);
    await streamLines(response, events);
    return undefined;
  } catch (error) {
    if (error instanceof VerifyRefusedError) return text(error.status, `${error.message}\n`);
    if (isClientGone(error)) return undefined; // it has ended with the command that asked for it
    throw error;
  }
}

async function answerAdmin(request: IncomingMessage, services: AdminServices): Promise<Answer> {
  switch (pathOf(request)) {
    case '/metrics':
      return { status: 200, type: services.metrics.contentType, body: await services.metrics.metrics() };
    case '/healthz':
      return text(200, 'ok\n');
    case '/readyz': {
      const reasons = await services.notReady();
      return reasons.length === 0 ? text(200, 'ready\n') : text(503, `${reasons.join('\n')}\n`);
    }
    case '/api/status':
      return json(200, services.status());
    case '/':
      return text(200, 'hubcap: /metrics /healthz /readyz /api/status\n');
    default:
      return notFound();
  }
}

function answerSafely(
  request: IncomingMessage,
  response: ServerResponse,
  { log }: AdminServices,
  answer: () => Promise<Answer | undefined>,
  writable: readonly string[] = [],
): void {
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  const answered =
    isReading || writable.includes(pathOf(request))
      ? answer()
      : Promise.resolve(text(405, 'this listener is read-only: use GET\n'));
  answered
    .then((found) => {
      if (!found) return;
      const { status, type, body } = found;
      response.writeHead(status, {
        'content-type': type,
        'content-length': Buffer.byteLength(body),
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    })
    .catch((error: unknown) => {
      log.error({ error, path: pathOf(request) }, 'admin request failed');
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
}

/** One JSON line per item: neither side holds them all. Ends reading the items when the client leaves. */
async function streamLines(
  response: ServerResponse,
  items: Iterable<unknown> | AsyncIterable<unknown>,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  await pipeline(Readable.from(jsonLines(items)), response);
}

async function* jsonLines(items: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const item of items) yield `${JSON.stringify(item)}\n`;
}

function isClientGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').replace(/\?.*$/s, '');
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

function notFound(): Answer {
  return text(404, 'there is nothing here: see /metrics, /healthz, /readyz, /api/status\n');
}
