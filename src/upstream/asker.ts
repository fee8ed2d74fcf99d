/** Owns asking one registry: authorization, one fresh try on 401, the time-out that a 429 imposes. */
import type { Repository } from '../oci/reference.ts';
import { untilAborted } from './abort.ts';
import { type Authorization, Authorizer } from './authorizer.ts';
import type { EndpointState } from './circuit.ts';
import { type CredentialSource, Credentials } from './credentials.ts';
import { transportFailure, UpstreamError } from './errors.ts';
import type { OfflineSwitch } from './offline-switch.ts';
import { parseRateLimit, parseRetryAfter, type RateLimit } from './rate-limit.ts';
import { isRedirect } from './redirects.ts';
import type { TlsRules } from './tls.ts';
import { Tokens } from './tokens.ts';
import { type Answer, discardBody, type Lane, type ProxyRules, Transport } from './transport.ts';

export type UpstreamRequestKind = 'manifest' | 'blob' | 'tags' | 'referrers';

/** What an upstream tells about itself, for metrics. */
export interface UpstreamObserver {
  answered(kind: UpstreamRequestKind, status: number | 'none', durationMs: number): void;
  received(bytes: number): void;
  token(result: 'fetched' | 'refused' | 'failed'): void;
  rateLimit(limit: RateLimit): void;
  resumed(): void;
  /** a question was answered by no endpoint, with all attempts */
  failed(error: UpstreamError): void;
  /** an endpoint is to be left alone, or answers again */
  endpoint(host: string, state: EndpointState, failure: UpstreamError | undefined): void;
}

export interface UpstreamOptions {
  /** the name that clients use */
  host: string;
  url: URL;
  realms: readonly string[];
  credentials: readonly CredentialSource[];
  tls: TlsRules;
  connections: number;
  timeouts: {
    connectMs: number;
    headersMs: number;
    idleMs: number;
    stallMs: number;
    confirmMs: number;
    probeMs: number;
  };
  retries: number;
  proxy: ProxyRules;
  offline: OfflineSwitch;
  observer: UpstreamObserver;
  now: () => number;
}

export interface Ask {
  kind: UpstreamRequestKind;
  method: 'GET' | 'HEAD';
  repository: Repository;
  /** below the repository: `manifests/latest` */
  path: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  lane: Lane;
  /** no client waits for it: the reserve of a pull limit is not spent on it */
  isBackground?: boolean;
}

/** An answer that gets out of here is a 2xx, a redirect, 404 or 416; all others are thrown as UpstreamError. */
export class Asker {
  readonly transport: Transport;
  readonly #options: UpstreamOptions;
  readonly #authorizer: Authorizer;
  readonly #restingUntilMs = { all: 0, manifests: 0 };
  #rateLimit: RateLimit | undefined;

  constructor(options: UpstreamOptions) {
    const { host, url, realms, now, observer } = options;
    this.#options = options;
    this.transport = new Transport({
      ...options.timeouts,
      connections: options.connections,
      proxy: options.proxy,
      own: url,
      tls: options.tls,
      offline: options.offline,
    });
    this.#authorizer = new Authorizer({
      address: url,
      realms,
      credentials: new Credentials(host, url, options.credentials, now),
      tokens: new Tokens({ transport: this.transport, now, observe: observer.token }),
    });
  }

  /** what upstream last said about its limits */
  get rateLimit(): RateLimit | undefined {
    return this.#rateLimit;
  }

  /** One question with its authorization; 401 is answered once, with something fresh. @throws UpstreamError */
  async ask(ask: Ask): Promise<Answer> {
    const { offline, url } = this.#options;
    offline.refuse(url.host); // a credential helper may ask somebody too
    this.#refuseWhileResting(ask);
    const offered = await this.#within(ask.signal, this.#authorizer.prepare(ask.repository));
    let answer = await this.#send(ask, offered);
    if (answer.status === 401) {
      await discardBody(answer);
      offered?.reject();
      const challenge = answer.header('www-authenticate');
      offline.refuse(url.host);
      const fresh = await this.#within(ask.signal, this.#authorizer.challenged(ask.repository, challenge));
      answer = await this.#send(ask, fresh);
      if (answer.status === 401) fresh.reject();
    }
    if (isRedirect(answer.status) || answer.status < 400 || answer.status === 404 || answer.status === 416) {
      return answer;
    }
    await discardBody(answer);
    throw this.#refused(ask, answer);
  }

  /** Tokens and credential helpers are waited for as long as the asker can wait; they go on for the others. */
  async #within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
    try {
      return await untilAborted(work, signal);
    } catch (error) {
      throw transportFailure(this.#options.url.host, error);
    }
  }

  async #send(ask: Ask, authorization: Authorization | undefined): Promise<Answer> {
    const { observer, now, url } = this.#options;
    const { kind, method, repository, path, signal, lane } = ask;
    const headers = authorization ? { ...ask.headers, authorization: authorization.header } : ask.headers;
    const target = new URL(`${url.pathname.replace(/\/$/, '')}/v2/${repository}/${path}`, url);
    const startMs = now();
    try {
      const answer = await this.transport.send({ method, url: target, headers, signal, lane });
      observer.answered(kind, answer.status, now() - startMs);
      this.#noteRateLimit(answer);
      return answer;
    } catch (error) {
      observer.answered(kind, 'none', now() - startMs);
      throw error;
    }
  }

  #noteRateLimit(answer: Answer): void {
    const limit = parseRateLimit(answer.header);
    if (!limit) return;
    this.#rateLimit = limit;
    this.#options.observer.rateLimit(limit);
  }

  #refuseWhileResting({ kind, method }: Ask): void {
    const { all, manifests } = this.#restingUntilMs;
    const untilMs = kind === 'manifest' && method === 'GET' ? Math.max(all, manifests) : all;
    const retryAfterMs = untilMs - this.#options.now();
    if (retryAfterMs <= 0) return;
    const { host } = this.#options.url;
    throw new UpstreamError(`${host} limits the rate; it is not asked before its time`, {
      reason: 'throttled',
      host,
      status: 429,
      retryAfterMs,
    });
  }

  #refused({ kind, method }: Ask, answer: Answer): UpstreamError {
    const { host } = this.#options.url;
    const { status } = answer;
    if (status === 429) {
      const retryAfterMs = parseRetryAfter(answer.header('retry-after'), this.#options.now());
      // A pull limit lets HEAD and blobs pass; any other 429 is about the address and covers everything.
      const isPullLimit = kind === 'manifest' && method === 'GET';
      this.#restingUntilMs[isPullLimit ? 'manifests' : 'all'] = this.#options.now() + retryAfterMs;
      return new UpstreamError(`${host} limits the rate`, {
        reason: 'throttled',
        host,
        status,
        retryAfterMs,
      });
    }
    if (status === 401 || status === 403) {
      return new UpstreamError(`${host} refuses access`, { reason: 'denied', host, status });
    }
    return unexpectedStatus(host, status);
  }
}

/** @returns the error for a status that no registry gives to this question, or that says it failed */
export function unexpectedStatus(host: string, status: number): UpstreamError {
  const reason = status >= 500 || status === 408 ? 'server-error' : 'bad-answer';
  return new UpstreamError(`${host} answered ${status}`, { reason, host, status });
}
