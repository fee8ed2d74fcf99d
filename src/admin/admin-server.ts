/** Owns the admin listener and the control socket: what is seen from outside, read-only over TCP. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Registry } from 'prom-client';
import type { Logger } from '../log.ts';
import type { ImageStatus, Status } from './status.ts';

/** Everything that can be asked of a running hubcap, over TCP or the socket. */
export interface AdminServices {
  metrics: Registry;
  status: () => Status;
  images: () => Iterable<ImageStatus>;
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
    answerSafely(request, response, services, async () => {
      if (pathOf(request) !== '/v1/images')
        return pathOf(request) === '/v1/status' ? json(200, services.status()) : notFound();
      await streamImages(response, services.images());
      return undefined;
    });
  });
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
): void {
  const isReading = request.method === 'GET' || request.method === 'HEAD';
  const answered = isReading ? answer() : Promise.resolve(text(405, 'this listener is read-only: use GET\n'));
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

/** One JSON line per image: neither side holds them all. */
async function streamImages(response: ServerResponse, images: Iterable<ImageStatus>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  await pipeline(Readable.from(jsonLines(images)), response);
}

function* jsonLines(images: Iterable<ImageStatus>): Generator<string> {
  for (const image of images) yield `${JSON.stringify(image)}\n`;
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
