/** Owns asking one registry: with which account, its authorization, one fresh try on 401, what a 429 imposes. */
import type { Repository } from '../oci/reference.ts';
import { untilAborted } from './abort.ts';
import type { Account, AccountState, Reserve } from './account.ts';
import { Accounts, type Errand } from './accounts.ts';
import { questionUrl } from './address.ts';
import { type Authorization, Authorizer } from './authorizer.ts';
import type { EndpointState } from './circuit.ts';
import type { CredentialSource } from './credentials.ts';
import { transportFailure, UpstreamError } from './errors.ts';
import type { OfflineSwitch } from './offline-switch.ts';
import { parseRateLimit } from './rate-limit.ts';
import { imposeLimit, throttled } from './throttling.ts';
import type { TlsRules } from './tls.ts';
import { Tokens } from './tokens.ts';
import { type Answer, destroyBody, discardBody, type Lane, type ProxyRules, Transport } from './transport.ts';

export const TOKEN_RESULTS = ['fetched', 'refused', 'failed'] as const;
export type TokenResult = (typeof TOKEN_RESULTS)[number];
export type UpstreamRequestKind = 'manifest' | 'blob' | 'tags' | 'referrers';

/** What an upstream tells about itself, for metrics. */
export interface UpstreamObserver {
  answered(kind: UpstreamRequestKind, status: number | 'none', durationMs: number): void;
  received(bytes: number): void;
  token(result: TokenResult): void;
  resumed(): void;
  /** a login is refused, or cannot be had, and rests for a while. @param account its name, unique at this address */
  rejected(account: string, error: UpstreamError): void;
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
  /** pulls of each account that are kept for what clients wait for; none where it is left out */
  reserve?: Reserve;
  observer: UpstreamObserver;
  now: () => number;
  /** 0 … 1; where it is left out, `Math.random` */
  random?: () => number;
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
  /** as somebody without credentials */
  isAnonymous?: boolean;
}

/** An answer that gets out of here is a 2xx, a redirect, 404 or 416; all others are thrown as UpstreamError. */
export class Asker {
  readonly transport: Transport;
  readonly #options: UpstreamOptions;
  readonly #authorizer: Authorizer;
  readonly #accounts: Accounts;

  constructor(options: UpstreamOptions) {
    const { url, realms, now, observer, reserve = 0, random = Math.random } = options;
    this.#options = options;
    this.transport = new Transport({
      ...options.timeouts,
      connections: options.connections,
      proxy: options.proxy,
      own: url,
      tls: options.tls,
      offline: options.offline,
    });
    this.#accounts = new Accounts({ ...options, reserve, random, onRejected: observer.rejected });
    this.#authorizer = new Authorizer({
      address: url,
      realms,
      tokens: new Tokens({ transport: this.transport, now, random, observe: observer.token }),
    });
  }

  /** who may ask, and what upstream last said about their limits */
  get accounts(): AccountState[] {
    return this.#accounts.states;
  }

  /** until when nothing is asked: the limit on the requests of this address was met; undefined where all is asked */
  get restingUntilMs(): number | undefined {
    const { leftMs } = this.#accounts.requests;
    return leftMs > 0 ? this.#options.now() + leftMs : undefined;
  }

  /**
   * One question with its authorization; 401 is answered once, with something fresh. Where an account may not, each
   * of the others that may be able to is asked with once.
   * @throws UpstreamError
   */
  async ask(ask: Ask): Promise<Answer> {
    const { offline, url } = this.#options;
    const tried = new Set<Account>();
    let failure: UpstreamError | undefined;
    for (;;) {
      offline.refuse(url.host); // a credential helper may ask somebody too
      this.#refuseWhileResting();
      const account = await this.#choose(ask, tried, failure);
      try {
        return await this.#askAs(account, ask);
      } catch (error) {
        this.#accounts.leave(account);
        if (!(error instanceof UpstreamError) || !isAboutAccount(error)) throw error;
        if (error.reason === 'denied' && !account.rejection) account.deny(ask.repository);
        tried.add(account);
        failure = error;
      }
    }
  }

  async #choose(ask: Ask, tried: ReadonlySet<Account>, failure: UpstreamError | undefined): Promise<Account> {
    try {
      return await this.#within(ask.signal, this.#accounts.choose(errandOf(ask), tried, failure));
    } catch (error) {
      this.#accounts.leave();
      throw error;
    }
  }

  async #askAs(account: Account, ask: Ask): Promise<Answer> {
    const { repository, signal } = ask;
    const offered = await this.#within(signal, this.#authorizer.prepare(repository, account));
    let answer = await this.#send(ask, account, offered);
    if (answer.status === 401) {
      await discardBody(answer);
      offered?.reject();
      const challenge = answer.header('www-authenticate');
      this.#options.offline.refuse(this.#options.url.host);
      const answering = this.#authorizer.challenged(repository, challenge, account, offered);
      const fresh = await this.#within(signal, answering);
      answer = await this.#send(ask, account, fresh);
      if (answer.status === 401) fresh.reject();
    }
    const { status } = answer;
    if (status < 400 || status === 404 || status === 416) return answer;
    throw await this.#refused(ask, account, answer);
  }

  /** Tokens and credential helpers are waited for as long as the asker can wait; they go on for the others. */
  async #within<T>(signal: AbortSignal, work: Promise<T>, discard?: (late: T) => void): Promise<T> {
    try {
      return await untilAborted(work, signal, discard);
    } catch (error) {
      throw transportFailure(this.#options.url.host, error);
    }
  }

  async #send(ask: Ask, account: Account, authorization: Authorization | undefined): Promise<Answer> {
    const { observer, now, url } = this.#options;
    const { kind, method, repository, path, signal, lane } = ask;
    const headers = authorization ? { ...ask.headers, authorization: authorization.header } : ask.headers;
    const target = questionUrl(url, repository, path);
    const startMs = now();
    const learn = this.#accounts.learnFrom(account, errandOf(ask), authorization !== undefined);
    try {
      const send = (): Promise<Answer> => this.transport.send({ method, url: target, headers, signal, lane });
      const answer = await (authorization
        ? this.#within(signal, authorization.send(send), destroyBody)
        : send());
      observer.answered(kind, answer.status, now() - startMs);
      const limit = parseRateLimit(answer.header);
      learn(answer.status, limit);
      return answer;
    } catch (error) {
      observer.answered(kind, 'none', now() - startMs);
      throw error;
    }
  }

  #refuseWhileResting(): void {
    const retryAfterMs = this.#accounts.requests.enter();
    const { host } = this.#options.url;
    if (retryAfterMs > 0)
      throw throttled(
        `${host} limits the rate; it is not asked before its time`,
        host,
        'requests',
        retryAfterMs,
        true,
      );
  }

  async #refused(ask: Ask, account: Account, answer: Answer): Promise<UpstreamError> {
    const { host } = this.#options.url;
    const { status } = answer;
    if (status === 429) {
      const { now } = this.#options;
      return await imposeLimit({
        accounts: this.#accounts,
        account,
        errand: errandOf(ask),
        answer,
        host,
        now,
      });
    }
    await discardBody(answer);
    if (status === 401 || status === 403) {
      return new UpstreamError(`${host} refuses access`, { reason: 'denied', host, status });
    }
    return unexpectedStatus(host, status);
  }
}

/** HEAD does not count against a pull limit, nor do blobs. */
function errandOf({ kind, method, repository, isBackground = false, isAnonymous = false }: Ask): Errand {
  const isCounted = kind === 'manifest';
  return { repository, isPull: isCounted && method === 'GET', isCounted, isBackground, isAnonymous };
}

/** Another account may be given what this one was not. */
function isAboutAccount({ reason, limit }: UpstreamError): boolean {
  return reason === 'denied' || (reason === 'throttled' && limit === 'pulls');
}

/** @returns the error for a status that no registry gives to this question, or that says it failed */
export function unexpectedStatus(host: string, status: number): UpstreamError {
  const isFailure = (status >= 500 && status !== 501) || status === 408; // 501: it has no such thing, and never will
  const reason = isFailure ? 'server-error' : 'bad-answer';
  return new UpstreamError(`${host} answered ${status}`, { reason, host, status });
}
