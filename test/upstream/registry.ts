/** Serves what a test wants on port 0, and makes clients for it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { upstreamDefaults } from '../../src/config/presets.ts';
import type { Repository } from '../../src/oci/reference.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { Upstream, type UpstreamSettings } from '../../src/upstream/upstream.ts';

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** 0 for the first connection, and so on */
  connection: number;
}

export type Respond = (seen: Seen, response: ServerResponse, count: number) => unknown;

interface TestLike {
  teardown(work: () => unknown): unknown;
}

export const repository = 'library/alpine' as Repository;

/** A real HTTP server. `seen` holds every request; `respond` is told how many came before. */
export async function serve(t: TestLike, respond: Respond): Promise<{ url: URL; seen: Seen[] }> {
  const seen: Seen[] = [];
  const connections: unknown[] = [];
  const server = createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request;
    const connection = connections.indexOf(request.socket);
    const entry = { method, path, headers, body: await text(request), connection };
    seen.push(entry);
    await respond(entry, response, seen.length - 1);
  });
  server.on('connection', (socket) => connections.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), seen };
}

export interface SendOptions {
  headers?: Record<string, string>;
  /** offset in the content at which the connection ends */
  until?: number;
}

/** Answers as a registry with range support does. */
export function sendRange(
  seen: Seen,
  response: ServerResponse,
  content: Buffer,
  { headers = {}, until = content.length }: SendOptions = {},
): void {
  const range = seen.headers.range?.match(/^bytes=(\d+)-(\d*)$/);
  const from = Number(range?.[1] ?? 0);
  const to = range?.[2] ? Number(range[2]) + 1 : content.length;
  if (range && from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}`, ...headers }).end();
    return;
  }
  response.writeHead(range ? 206 : 200, {
    'content-length': to - from,
    ...(range && { 'content-range': `bytes ${from}-${to - 1}/${content.length}` }),
    ...headers,
  });
  if (until >= to) response.end(content.subarray(from, to));
  else response.write(content.subarray(from, Math.max(from, until)), () => response.socket?.end());
}

/** A client, and what it told. */
export function connect(t: TestLike, url: URL, options: Partial<UpstreamSettings> = {}) {
  const told = { answers: [] as string[], received: 0, resumed: 0, tokens: [] as string[] };
  const upstream = new Upstream({
    host: 'docker.io',
    url,
    mirrors: [],
    realms: [],
    credentials: [],
    tls: upstreamDefaults.tls,
    connections: 8,
    timeouts: { connectMs: 2000, headersMs: 2000, idleMs: 2000, stallMs: 0, confirmMs: 2000, probeMs: 0 },
    retries: 2,
    proxy: {},
    offline: new OfflineSwitch(false),
    now: Date.now,
    observer: {
      answered: (kind, status) => told.answers.push(`${kind} ${status}`),
      received: (bytes) => {
        told.received += bytes;
      },
      failed: () => undefined,
      endpoint: () => undefined,
      rejected: () => undefined,
      resumed: () => {
        told.resumed += 1;
      },
      token: (result) => told.tokens.push(result),
    },
    ...options,
  });
  t.teardown(() => upstream.close());
  return { upstream, told };
}

/** What a promise is rejected with. @throws where it is not */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  const nothing = Symbol('nothing');
  const failure = await promise.then(
    () => nothing,
    (error: unknown) => error,
  );
  if (failure === nothing) throw new Error('it did not fail');
  return failure;
}

/** All of what is on its way. */
export async function collect(chunks: AsyncIterable<Buffer>, into: Buffer[] = []): Promise<Buffer> {
  for await (const chunk of chunks) into.push(chunk);
  return Buffer.concat(into);
}
