/** Owns the bearer tokens: asked for once for all who wait, kept until shortly before they end. */
import { LRUCache } from 'lru-cache';
import { SingleFlight } from '../single-flight.ts';
import { basicAuthorization } from './credentials.ts';
import type { Login } from './docker-config.ts';
import { UpstreamError } from './errors.ts';
import { parseRetryAfter } from './rate-limit.ts';
import { Rest } from './rest.ts';
import { type Answer, discardBody, readSmall, type Transport } from './transport.ts';

export interface TokenQuestion {
  /** trusted: see `realm.ts` */
  realm: URL;
  service: string | undefined;
  scope: string;
  login: Login | undefined;
  /** tells accounts of one user apart: each has tokens of its own */
  holder?: number;
}

export interface TokensOptions {
  transport: Transport;
  now: () => number;
  /** 0 … 1 */
  random?: () => number;
  observe: (result: 'fetched' | 'refused' | 'failed') => void;
}

const MAX_TOKENS = 10_000;
/** What is refused for one scope is refused again; a login that is refused as such rests with its account. */
const REMEMBER_REFUSAL_MS = 10_000;
const MAX_ANSWER_BYTES = 256 * 1024;
const DEADLINE_MS = 15_000;
/** A token server that limits the rate without saying until when is left alone for no longer than this. */
const MAX_REST_MS = 10 * 60_000;
/** Statuses by which a server says that it does not speak OAuth2, or not so (facts, "OAuth2"). */
const NO_OAUTH: ReadonlySet<number> = new Set([400, 401, 404, 405]);
/** spec/auth/token: an absent `expires_in` means 60 s. `issued_at` is not used: clocks differ. */
const DEFAULT_LIFE_S = 60;

export class Tokens {
  readonly #options: TokensOptions;
  readonly #known: LRUCache<string, { token: string; untilMs: number }>;
  readonly #asking = new SingleFlight<string>();
  readonly #refused = new LRUCache<string, { error: UpstreamError; untilMs: number }>({ max: MAX_TOKENS });
  /** token servers that limit the rate, by host */
  readonly #resting = new LRUCache<string, Rest>({ max: 1000 });

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#known = new LRUCache({ max: MAX_TOKENS });
  }

  /**
   * Distribution, "Token Authentication": the exchange of a challenge for a token.
   * @returns the token
   * @throws UpstreamError `denied` where the token server refuses, another reason where it does not say
   */
  async get(question: TokenQuestion): Promise<string> {
    const key = keyOf(question);
    const known = this.#known.get(key);
    if (known && this.#options.now() < known.untilMs) return known.token;
    const refused = this.#refused.get(key);
    if (refused && this.#options.now() < refused.untilMs) throw refused.error;
    return await this.#asking.run(key, () => this.#ask(key, question)).result;
  }

  /** Upstream refused this token: it is not offered again. */
  reject(question: TokenQuestion, token: string): void {
    const key = keyOf(question);
    if (this.#known.get(key)?.token === token) this.#known.delete(key);
  }

  async #ask(key: string, question: TokenQuestion): Promise<string> {
    const { now, observe } = this.#options;
    const { host } = question.realm;
    const resting = this.#resting.get(host);
    const retryAfterMs = resting?.enter() ?? 0;
    if (retryAfterMs > 0) throw throttled(host, retryAfterMs, true);
    try {
      const { token, lifeS } = await this.#exchange(question, AbortSignal.timeout(DEADLINE_MS));
      // A tenth of its life, at most 30 s, is left unused: a download that starts with it must still be let in.
      this.#known.set(key, { token, untilMs: now() + (lifeS - Math.min(30, lifeS / 10)) * 1000 });
      observe('fetched');
      return token;
    } catch (error) {
      const isRefusal = error instanceof UpstreamError && error.reason === 'denied';
      if (isRefusal && !isRefusedLogin(question, error))
        this.#refused.set(key, { error, untilMs: now() + REMEMBER_REFUSAL_MS });
      observe(isRefusal ? 'refused' : 'failed');
      throw error;
    } finally {
      resting?.leave();
    }
  }

  async #exchange(question: TokenQuestion, signal: AbortSignal): Promise<{ token: string; lifeS: number }> {
    const { login, realm } = question;
    const era = this.#resting.get(realm.host)?.era ?? 0;
    const answer = login?.identityToken
      ? await this.#postOrGet(question, login, login.identityToken, signal)
      : await this.#getOrPost(question, signal);
    if (answer.status !== 429) this.#resting.get(realm.host)?.end(era);
    if (answer.status === 200)
      return readToken(await readSmall(answer, realm.host, MAX_ANSWER_BYTES), realm.host);
    await discardBody(answer);
    if (answer.status === 429) throw this.#rest(realm.host, answer);
    throw refusal(realm.host, answer.status, login !== undefined);
  }

  #rest(host: string, answer: Answer): UpstreamError {
    const { now, random = Math.random } = this.#options;
    const resting = this.#resting.get(host) ?? new Rest({ firstMs: 30_000, maxMs: MAX_REST_MS, now, random });
    this.#resting.set(host, resting);
    resting.begin(parseRetryAfter(answer.header('retry-after'), now()));
    return throttled(host, resting.leftMs, false);
  }

  /** An identity token is for OAuth2; a server that does not speak it takes the token for a password (containerd). */
  async #postOrGet(
    question: TokenQuestion,
    { username }: Login,
    identityToken: string,
    signal: AbortSignal,
  ): Promise<Answer> {
    const grant = { grant_type: 'refresh_token', refresh_token: identityToken };
    const answer = await this.#post(question, grant, signal);
    if (username === '' || !NO_OAUTH.has(answer.status)) return answer;
    await discardBody(answer);
    return await this.#get(question, { username, password: identityToken }, signal);
  }

  /** GET is what every token server knows; one that only speaks OAuth2 says 404 or 405 to it. */
  async #getOrPost(question: TokenQuestion, signal: AbortSignal): Promise<Answer> {
    const { login } = question;
    const answer = await this.#get(question, login, signal);
    if (!login || (answer.status !== 404 && answer.status !== 405)) return answer;
    await discardBody(answer);
    const grant = { grant_type: 'password', username: login.username, password: login.password };
    return await this.#post(question, grant, signal);
  }

  async #get(
    { realm, service, scope }: TokenQuestion,
    login: Login | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', scope);
    const headers: Record<string, string> = login ? { authorization: basicAuthorization(login) } : {};
    return await this.#options.transport.send({ method: 'GET', url, headers, signal, lane: 'short' });
  }

  async #post(question: TokenQuestion, grant: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const { realm, service, scope } = question;
    const form = new URLSearchParams({ ...grant, client_id: 'hubcap', scope });
    if (service !== undefined) form.set('service', service);
    return await this.#options.transport.send({
      method: 'POST',
      url: realm,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      signal,
      lane: 'short',
    });
  }
}

/** The token server refuses the login itself; 403 would be about the scope. */
export function isRefusedLogin({ login }: { login: Login | undefined }, error: unknown): boolean {
  return (
    login !== undefined && error instanceof UpstreamError && error.reason === 'denied' && error.status === 401
  );
}

function keyOf({ realm, service, scope, login, holder = 0 }: TokenQuestion): string {
  return JSON.stringify([
    realm.href,
    service ?? '',
    scope,
    login ? [login.username, login.identityToken !== undefined, holder] : 'anonymous',
  ]);
}

function readToken(body: Buffer, host: string): { token: string; lifeS: number } {
  const answer = parseJson(body);
  // Some registries answer only `token`, others only `access_token` (facts, "Token").
  const token = [answer?.token, answer?.access_token].find(
    (value) => typeof value === 'string' && value !== '',
  );
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new UpstreamError(`${host}: its answer holds no token`, { reason: 'token', host });
  }
  const life = answer?.expires_in;
  return { token, lifeS: typeof life === 'number' && life > 0 ? life : DEFAULT_LIFE_S };
}

function parseJson(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // not JSON is "no token", said by the caller without quoting the body
  }
}

function throttled(host: string, retryAfterMs: number, isFromMemory: boolean): UpstreamError {
  return new UpstreamError(`${host} limits the rate of token requests`, {
    reason: 'throttled',
    limit: 'requests',
    host,
    status: 429,
    retryAfterMs,
    isFromMemory,
  });
}

function refusal(host: string, status: number, withLogin: boolean): UpstreamError {
  if (status === 401 || status === 403) {
    const what = withLogin ? 'refuses the configured credentials' : 'gives no token without credentials';
    return new UpstreamError(`${host} ${what}`, { reason: 'denied', host, status });
  }
  const reason = status >= 500 ? 'server-error' : 'token';
  return new UpstreamError(`${host}: token request answered ${status}`, { reason, host, status });
}
