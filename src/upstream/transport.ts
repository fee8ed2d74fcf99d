/** Owns the connections to one upstream, its token server and its CDN: one pool per origin, bounded. */
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { untilAborted } from './abort.ts';
import { transportFailure, UpstreamError } from './errors.ts';
import { type OfflineSwitch, offlineFailure } from './offline-switch.ts';
import { type TlsConnection, type TlsRules, tlsConnections } from './tls.ts';

export interface ProxyRules {
  http?: string | undefined;
  https?: string | undefined;
  no?: string | undefined;
}

export interface TransportOptions {
  /** per origin and lane */
  connections: number;
  connectMs: number;
  /** from the request to the response's head */
  headersMs: number;
  /** between two chunks of a body */
  idleMs: number;
  proxy: ProxyRules;
  /** the upstream's own address: its origin is the one that client certificates and leniency are for */
  own: URL;
  tls: TlsRules;
  offline: OfflineSwitch;
}

/**
 * Each lane has connections of its own: 32 long downloads (`blob`) must not keep a manifest waiting (`short`), nor
 * slow clients of what is not cached (`past`) or of parts (`part`) a download. `fresh` is a connection that nothing
 * has used before, for what came wrong over another.
 */
export type Lane = 'short' | BlobLane;
export type BlobLane = 'blob' | 'past' | 'part' | 'fresh';

export interface Question {
  method: 'GET' | 'HEAD' | 'POST';
  url: URL;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  lane: Lane;
}

export interface Answer {
  status: number;
  header(name: string): string | undefined;
  /** must be consumed or destroyed */
  body: Dispatcher.ResponseData['body'];
}

/** Never decompresses, never follows a redirect, never adds a header: what is asked is what is sent. */
export class Transport {
  readonly #ownOrigin: string;
  readonly #own: Lanes;
  readonly #others: Lanes;
  readonly #proxy: ProxyRules;
  readonly #offline: OfflineSwitch;
  readonly #timeouts: { headersTimeout: number; bodyTimeout: number };

  constructor(options: TransportOptions) {
    const { own, others } = tlsConnections(options.tls);
    this.#ownOrigin = options.own.origin;
    this.#others = makeLanes(options, others);
    this.#own = own === others ? this.#others : makeLanes(options, own);
    this.#proxy = options.proxy;
    this.#offline = options.offline;
    this.#timeouts = { headersTimeout: options.headersMs, bodyTimeout: options.idleMs };
  }

  /**
   * All that hubcap asks of anybody goes through here: offline, nothing does.
   * @throws UpstreamError with the reason why there is no answer
   */
  async send(question: Question): Promise<Answer> {
    const { method, url, headers, body, lane } = question;
    this.#offline.refuse(url.host);
    // What is queued would be dialled later. It covers the head alone: a body on its way may end.
    const given = new AbortController();
    const keep = this.#offline.whenOffline(() => given.abort(offlineFailure(url.host)));
    const signal = AbortSignal.any([question.signal, given.signal]);
    try {
      const asked = request(url, {
        dispatcher: this.#way(url, lane),
        method,
        headers: { 'accept-encoding': 'identity', 'user-agent': 'hubcap', ...headers },
        body: body ?? null,
        signal,
        ...this.#timeouts,
      });
      // undici looks at the signal once the request has a connection: while it queues for one, or while a proxy
      // is silent, nobody would.
      const response = await untilAborted(asked, signal, ({ body }) => dropBody(body));
      return {
        status: response.statusCode,
        header: (name) => first(response.headers[name]),
        body: response.body,
      };
    } catch (error) {
      throw transportFailure(url.host, error);
    } finally {
      keep();
    }
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const lanes = [...new Set([this.#own, this.#others])].flatMap((each) => Object.values(each));
    const ways = lanes.flatMap(({ direct, proxied }) => [direct, proxied ?? []].flat());
    await Promise.all(ways.map((way) => way.destroy()));
  }

  /** A proxy for one scheme is none for the other, as for curl and Docker. */
  #way({ protocol, origin }: URL, lane: Lane): Dispatcher {
    const { direct, proxied } = (origin === this.#ownOrigin ? this.#own : this.#others)[lane];
    return proxied && (protocol === 'https:' ? this.#proxy.https : this.#proxy.http) ? proxied : direct;
  }
}

/**
 * Reads a body that must be small.
 * @param maxBytes more than this is an error
 * @throws UpstreamError
 */
export async function readSmall(answer: Answer, host: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        throw new UpstreamError(`${host}: its answer is larger than ${maxBytes} bytes`, {
          reason: 'bad-answer',
          host,
        });
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw transportFailure(host, error);
  }
  return Buffer.concat(chunks);
}

/** Gives the connection back, or ends it where the rest is not worth reading. */
export async function discardBody(answer: Answer): Promise<void> {
  await answer.body.dump({ limit: 64 * 1024 }).catch(() => undefined); // broken while nobody wanted it any more
}

/** Ends the connection instead of reading the rest. */
export function destroyBody(answer: Answer): void {
  dropBody(answer.body);
}

function dropBody(body: Answer['body']): void {
  body.on('error', () => undefined); // "aborted" is what was asked for
  body.destroy();
}

interface Ways {
  direct: Dispatcher;
  proxied: Dispatcher | undefined;
}

type Lanes = Record<Lane, Ways>;

function makeLanes(options: TransportOptions, tls: TlsConnection): Lanes {
  return {
    short: makeWays(options, tls),
    blob: makeWays(options, tls),
    past: makeWays(options, tls),
    part: makeWays(options, tls),
    fresh: makeWays(options, tls, 0),
  };
}

/** @param pipelining requests on a connection at a time; 0: one, and then it is closed */
function makeWays(
  { connections, connectMs, proxy }: TransportOptions,
  tls: TlsConnection,
  pipelining = 1,
): Ways {
  const options = {
    connections,
    pipelining,
    // HTTP/2 would put all downloads of an origin on one connection, behind one window of 512 KiB.
    allowH2: false,
    connect: { timeout: connectMs, ...tls },
    keepAliveTimeout: 30_000,
  };
  const direct = new Agent(options);
  if (!proxy.http && !proxy.https) return { direct, proxied: undefined };
  const proxied = new EnvHttpProxyAgent({
    ...options,
    // `connect` is for what NO_PROXY names. In a tunnel the upstream is spoken to like this; the proxy itself, if it
    // wants TLS, is none of the upstream's hosts.
    requestTls: { timeout: connectMs, allowH2: false, ...tls },
    proxyTls: { timeout: connectMs },
    // Empty strings keep it from reading the environment itself.
    httpProxy: proxy.http ?? '',
    httpsProxy: proxy.https ?? '',
    noProxy: proxy.no ?? '',
  });
  return { direct, proxied };
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
