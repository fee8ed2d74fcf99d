/** Owns what all upstreams of tests have in common: a real HTTP server on port 0 that counts, and personas. */
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { TLSSocket, type TlsOptions } from 'node:tls';
import type { Test } from 'tap';
import { until } from './waiting.ts';

/** One request, and what became of it. The list of them is the oracle of most tests. */
export interface Asked {
  method: string;
  /** as sent */
  url: string;
  /** without the query */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  form: URLSearchParams;
  /** the port of the other end: tells connections apart */
  connection: number;
  /** whom the client's certificate names, undefined where it showed none */
  client: string | undefined;
  /** 0 until it is answered */
  status: number;
  /** of the body, given to the connection */
  bytes: number;
}

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: Buffer;
  /** the connection ends after this many bytes of the body */
  breakAfter?: number;
  /** it ends by a reset: what is on its way may be lost */
  isReset?: boolean;
  /** the body goes out no faster than this, until it is lifted */
  pace?: { bytesPerS: number; lifted: Promise<void> };
  /** the body stops here until the gate opens */
  hold?: { at: number; gate: Promise<void> };
  /** leaves `Content-Length` out */
  isChunked?: boolean;
}

/** Stands between a request and its plain answer; may change either, delay it, or answer itself. */
export type Persona = (asked: Asked, answer: () => Promise<Answer>) => Answer | Promise<Answer>;

export interface PersonaServer {
  /** `http://127.0.0.1:PORT`, or https */
  readonly url: string;
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** every request, in order */
  readonly asked: readonly Asked[];
  /** requests by method and a part of the path */
  count(method: string, part?: string): number;
  /** bytes of bodies given to connections, of the requests that match */
  bytesSent(method?: string, part?: string): number;
  /** how many connections are open */
  readonly connections: number;
  /** requests that came and whose answer has neither ended nor broken */
  readonly answering: number;
  /** from now on: these, the first is the outermost; none: plain */
  act(...personas: Persona[]): void;
  /** Ends all connections and refuses new ones: an upstream that is down. */
  close(): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;

/** Starts a server that ends with the test. @param tls for HTTPS */
export async function startPersonaServer(
  t: Test,
  plain: (asked: Asked) => Answer | Promise<Answer>,
  tls?: TlsOptions,
): Promise<PersonaServer> {
  const asked: Asked[] = [];
  let personas: readonly Persona[] = [];
  let connections = 0;
  let answering = 0;
  const server = makeServer(tls, async (request, response) => {
    answering += 1;
    response.once('close', () => {
      answering -= 1;
    });
    const url = request.url ?? '/';
    const [path = '', query = ''] = url.split('?');
    const one: Asked = {
      method: request.method ?? '',
      url,
      path,
      query: new URLSearchParams(query),
      headers: request.headers,
      form: new URLSearchParams(request.method === 'POST' ? await text(request) : ''),
      connection: request.socket.remotePort ?? 0,
      client: clientOf(request),
      status: 0,
      bytes: 0,
    };
    asked.push(one);
    try {
      await send(response, one, await play(personas, one, plain));
    } catch (error) {
      if (!response.destroyed) {
        t.fail('an upstream of the test failed', { error });
        response.destroy();
      }
    }
  });
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('error', () => undefined); // resets are part of many stories
    socket.on('close', () => {
      connections -= 1;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const matching = (method: string | undefined, part: string) =>
    asked.filter((one) => (method === undefined || one.method === method) && one.url.includes(part));
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await until('connections are closed', () => connections === 0);
  };
  t.teardown(close);
  return {
    url: `${tls ? 'https' : 'http'}://${host}`,
    host,
    asked,
    count: (method, part = '') => matching(method, part).length,
    bytesSent: (method, part = '') => matching(method, part).reduce((sum, { bytes }) => sum + bytes, 0),
    get connections() {
      return connections;
    },
    get answering() {
      return answering;
    },
    act: (...next) => {
      personas = next;
    },
    close,
  };
}

function makeServer(
  tls: TlsOptions | undefined,
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Server {
  const options = { keepAliveTimeout: 60_000 };
  return tls ? createSecureServer({ ...options, ...tls }, answer) : createServer(options, answer);
}

function clientOf({ socket }: IncomingMessage): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { subject } = socket.getPeerCertificate();
  return subject === undefined ? undefined : String(subject.CN);
}

async function play(
  personas: readonly Persona[],
  asked: Asked,
  plain: (asked: Asked) => Answer | Promise<Answer>,
): Promise<Answer> {
  const [first, ...others] = personas;
  return first ? await first(asked, () => play(others, asked, plain)) : await plain(asked);
}

async function send(response: ServerResponse, asked: Asked, answer: Answer): Promise<void> {
  const { status, headers = {}, body, breakAfter, hold, isChunked, pace } = answer;
  asked.status = status;
  const length = body?.length ?? 0;
  response.writeHead(status, {
    ...(isChunked || headers['content-length'] !== undefined ? {} : { 'content-length': String(length) }),
    ...headers,
  });
  if (asked.method === 'HEAD' || !body) {
    response.end();
    return;
  }
  const end = Math.min(length, breakAfter ?? length);
  response.flushHeaders();
  const startMs = performance.now();
  for (let position = 0; position < end; ) {
    if (hold && position >= hold.at) await hold.gate;
    const until = hold && position < hold.at ? Math.min(end, hold.at) : end;
    const chunk = body.subarray(position, Math.min(position + CHUNK_BYTES, until));
    if (!(await write(response, chunk))) return;
    asked.bytes += chunk.length;
    position += chunk.length;
    if (pace) await paceOut(pace, startMs, position);
  }
  // What has come whole by its length has come: a connection that is used again would wait for nothing.
  const isAwaited = hold && (hold.at === end || (isChunked && hold.at > end));
  if (isAwaited) await hold.gate;
  if (breakAfter === undefined) response.end();
  else if (answer.isReset) response.socket?.resetAndDestroy();
  else response.socket?.destroy();
}

/** Waits until so many bytes may have gone out. The timer is not waited for any more when the pace is lifted. */
async function paceOut({ bytesPerS, lifted }: NonNullable<Answer['pace']>, startMs: number, bytes: number) {
  const ms = startMs + (bytes / bytesPerS) * 1000 - performance.now();
  if (ms <= 0) return;
  const over = new AbortController();
  await Promise.race([wait(ms, undefined, { signal: over.signal }).catch(() => undefined), lifted]);
  over.abort();
}

/** @returns false where the connection is gone */
function write(response: ServerResponse, chunk: Buffer): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    response.once('close', gone);
    response.write(chunk, (error) => {
      response.off('close', gone);
      resolve(!error);
    });
  });
}
