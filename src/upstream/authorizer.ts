/** Owns how one upstream wants to be asked: which challenge it makes, and what answers it. */
import { LRUCache } from 'lru-cache';
import type { Repository } from '../oci/reference.ts';
import type { Account } from './account.ts';
import { nameAt } from './address.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import { basicAuthorization } from './credentials.ts';
import type { Login } from './docker-config.ts';
import { UpstreamError } from './errors.ts';
import { trustedRealm } from './realm.ts';
import { isRefusedLogin, type TokenQuestion, type Tokens } from './tokens.ts';
import type { Answer } from './transport.ts';

export interface AuthorizerOptions {
  address: URL;
  realms: readonly string[];
  tokens: Tokens;
}

/** What was sent, to be taken back when upstream refuses it. */
export interface Authorization {
  header: string;
  reject(): void;
  /** Sends it; a login that was not accepted yet is sent by one at a time. */
  send(work: () => Promise<Answer>): Promise<Answer>;
}

/**
 * 1. The first request goes without authorization; upstream answers 401 with a challenge.
 * 2. The challenge is answered with a token (or Basic), and the request is sent once more.
 * 3. Later requests bring a token along: for the scope that the repository's challenge named, or, for a
 *    repository that was never asked for, the scope that the specification gives it.
 */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #challenges = new LRUCache<string, Challenge>({ max: 10_000 });
  #latest: Challenge | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** @returns what to send along, undefined while upstream has made no challenge, or none that the account can answer */
  async prepare(repository: Repository, account: Account): Promise<Authorization | undefined> {
    const general = this.#latest?.scheme === 'bearer' ? { ...this.#latest, scope: undefined } : this.#latest;
    const challenge = this.#challenges.get(repository) ?? general;
    // A registry that wants a password for one thing may give another to everybody.
    if (!challenge || (challenge.scheme === 'basic' && !(await account.open()))) return undefined;
    return await this.#answer(challenge, repository, account);
  }

  /**
   * Upstream answered 401.
   * @param header its `WWW-Authenticate`
   * @param refused what it was sent
   * @returns what to send with the one fresh try
   * @throws UpstreamError where the challenge cannot or must not be answered
   */
  async challenged(
    repository: Repository,
    header: string | undefined,
    account: Account,
    refused: Authorization | undefined,
  ): Promise<Authorization> {
    const { host } = this.#options.address;
    const challenge = parseChallenge(header);
    if (!challenge) {
      const message = `${host} refuses access and names no way to authenticate that hubcap knows`;
      throw new UpstreamError(message, { reason: 'denied', host, status: 401 });
    }
    const authorization = await this.#answer(challenge, repository, account);
    this.#challenges.set(repository, challenge);
    this.#latest = challenge;
    if (challenge.scheme === 'bearer' || authorization.header !== refused?.header) return authorization;
    // The same password would be refused once more, and one that is wrong too often locks its account.
    authorization.reject();
    throw refusedLogin(host);
  }

  async #answer(challenge: Challenge, repository: Repository, account: Account): Promise<Authorization> {
    const login = await account.open();
    if (challenge.scheme === 'bearer') return await this.#bearer(challenge, repository, account, login);
    const { host } = this.#options.address;
    if (!login) {
      const message = `${host} wants a username and a password, and none is configured`;
      throw new UpstreamError(message, { reason: 'denied', host, status: 401 });
    }
    const reject = (): void => account.reject(refusedLogin(host));
    const show = async (work: () => Promise<Answer>): Promise<Answer> => {
      const answer = await work();
      if (answer.status === 401) reject(); // before those who wait go on
      return answer;
    };
    const isYes = ({ status }: Answer): boolean => status < 500 && status !== 401 && status !== 429;
    return {
      header: basicAuthorization(login),
      reject,
      send: (work) => account.show(() => show(work), isYes),
    };
  }

  async #bearer(
    { realm, service, scope }: Extract<Challenge, { scheme: 'bearer' }>,
    repository: Repository,
    account: Account,
    login: Login | undefined,
  ): Promise<Authorization> {
    const { address, realms, tokens } = this.#options;
    const url = trustedRealm(realm, address, realms);
    if (!url) {
      const named = URL.canParse(realm) ? new URL(realm).host : 'an address that is none';
      throw new UpstreamError(
        `${address.host} sends to ${named} for a token, which is not known to belong to it: if it does, add it to the upstream's \`realms\``,
        { reason: 'untrusted-realm', host: address.host },
      );
    }
    const question: TokenQuestion = {
      realm: url,
      service,
      scope: scope ?? `repository:${nameAt(address, repository)}:pull`,
      login,
      holder: account.id,
    };
    const ask = (): Promise<string> =>
      tokens.get(question).catch((error: unknown) => {
        if (error instanceof UpstreamError && isRefusedLogin(question, error)) account.reject(error);
        throw error;
      });
    const token = await (login ? account.show(ask) : ask());
    return {
      header: `Bearer ${token}`,
      reject: () => tokens.reject(question, token),
      send: (work) => work(),
    };
  }
}

function refusedLogin(host: string): UpstreamError {
  return new UpstreamError(`${host} refuses the configured credentials`, {
    reason: 'denied',
    host,
    status: 401,
  });
}
