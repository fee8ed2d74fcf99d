/** Owns who asks one address: which of the accounts, and when nobody does. */
import type { Repository } from '../oci/reference.ts';
import { Account, type AccountState, type Reserve } from './account.ts';
import { type CredentialSource, Credentials } from './credentials.ts';
import { UpstreamError } from './errors.ts';
import type { RateLimit } from './rate-limit.ts';
import { Rest } from './rest.ts';
import { throttled } from './throttling.ts';

export interface AccountsOptions {
  /** the name that clients use */
  host: string;
  url: URL;
  credentials: readonly CredentialSource[];
  reserve: Reserve;
  now: () => number;
  /** 0 … 1 */
  random: () => number;
  /** told when a login is refused, or cannot be had, and is left alone for a while; others may serve meanwhile */
  onRejected: (account: string, error: UpstreamError) => void;
}

/** What matters about a question for who asks it. */
export interface Errand {
  repository: Repository;
  /** it counts against a pull limit: a manifest by GET */
  isPull: boolean;
  /** its answer may tell what is left: a manifest by GET or HEAD */
  isCounted: boolean;
  /** no client waits for it: the reserve is not spent on it */
  isBackground: boolean;
  /** it is asked as somebody without credentials */
  isAnonymous: boolean;
}

/** A limit of the address rests no longer than this without upstream having said so. */
const MAX_REQUESTS_REST_MS = 10 * 60_000;

/**
 * The account with the most pulls left asks. It goes on asking until another has more than twice as many: each
 * change costs a token for each repository. A login that upstream refuses, and an account that met its pull limit,
 * rest while others serve. A limit on the requests of the address covers them all.
 */
export class Accounts {
  /** after the limit on the requests of this address was met */
  readonly requests: Rest;
  readonly #options: AccountsOptions;
  readonly #configured: readonly Account[];
  readonly #stranger: Account;
  #current: Account | undefined;

  constructor(options: AccountsOptions) {
    const { host, url, credentials, now, random, onRejected } = options;
    const open = (source: CredentialSource, id: number): Account =>
      new Account({
        ...{ id, credentials: new Credentials(host, url, source, now), host: url.host, now, random },
        onRejected: (account, error) => onRejected(this.nameOf(account), error),
      });
    this.#options = options;
    this.#configured = credentials.map(open);
    const anonymous = credentials.findIndex(({ kind }) => kind === 'anonymous');
    this.#stranger = this.#configured[anonymous] ?? open({ kind: 'anonymous' }, -1);
    this.requests = new Rest({ firstMs: 30_000, maxMs: MAX_REQUESTS_REST_MS, now, random });
  }

  /**
   * @param tried who was asked already
   * @param failure what the last of them was told
   * @throws UpstreamError where nobody is left; `failure` where nothing says more
   */
  async choose(errand: Errand, tried: ReadonlySet<Account>, failure?: UpstreamError): Promise<Account> {
    for (;;) {
      const account = this.#best(errand, tried);
      if (!account) throw this.#whyNobody(errand, failure) ?? failure ?? this.#nobody();
      if (!(await this.#isReady(account)) || account.rejected.enter() > 0) continue;
      if (!errand.isPull || account.pulls.enter() === 0) return account;
      account.rejected.leave();
    }
  }

  /**
   * A question is about to be sent.
   * @param isNamed whether it shows who asks
   * @returns what learns from its answer
   */
  learnFrom(
    account: Account,
    { repository, isPull }: Errand,
    isNamed: boolean,
  ): (status: number, limit: RateLimit | undefined) => void {
    const { requests } = this;
    const [requestsEra, pullsEra, rejectedEra] = [requests.era, account.pulls.era, account.rejected.era];
    return (status, limit) => {
      if (status !== 429) requests.end(requestsEra);
      if (isNamed && status !== 401) account.rejected.end(rejectedEra);
      if (status < 400) account.admit(repository);
      if (isPull && (status < 400 || status === 404)) account.pulled(pullsEra);
      if (limit) account.count(limit, pullsEra);
    };
  }

  /** A question failed, of that account where one was found: who went ahead alone has learnt nothing. */
  leave(account?: Account): void {
    this.requests.leave();
    account?.pulls.leave();
    account?.rejected.leave();
  }

  /** Whom upstream counts as one, rest together. @param restMs where upstream says how long */
  exhaust(account: Account, restMs: number | undefined): void {
    const source = account.rateLimit?.source;
    const counted = this.#all().filter((one) => source !== undefined && one.rateLimit?.source === source);
    for (const one of new Set([account, ...counted])) one.exhaust(restMs);
  }

  /** Names are unique: two tokens of one user are two accounts. */
  nameOf(account: Account): string {
    const same = this.#all().filter(({ name }) => name === account.name);
    const place = same.indexOf(account);
    return place > 0 ? `${account.name}#${place + 1}` : account.name;
  }

  /** those who may ask, in the configured order */
  get states(): AccountState[] {
    return this.#present().map((account) => account.state(this.nameOf(account), this.#options.reserve));
  }

  #all(): readonly Account[] {
    return this.#configured.includes(this.#stranger)
      ? this.#configured
      : [...this.#configured, this.#stranger];
  }

  /** Without any login, all is asked anonymously. */
  #present(): readonly Account[] {
    const present = this.#configured.filter(({ isAbsent }) => !isAbsent);
    return present.length > 0 ? present : [this.#stranger];
  }

  #best(errand: Errand, tried: ReadonlySet<Account>): Account | undefined {
    const welcome = this.#welcome(errand, tried.size > 0).filter((account) => !tried.has(account));
    const able = welcome.filter((account) => !errand.isPull || this.#pullsAfterMs(account, errand) === 0);
    const [first] = able;
    if (!first || errand.isAnonymous) return first;
    if (errand.isCounted && able.every(({ pulls }) => pulls.leftMs > 0)) return longestUncounted(able, first);
    const most = able.reduce((best, account) => (account.left > best.left ? account : best), first);
    if (this.#current && able.includes(this.#current)) {
      if (!hasClearlyMore(most, this.#current)) return this.#current;
      this.#current = most;
    }
    // A detour for one repository is none for the others.
    if (!this.#current || this.#isOut(this.#current, errand)) this.#current = most;
    return most;
  }

  /** Who is not known to be refused. Where everybody is, upstream may have changed its mind: one is asked again. */
  #welcome({ repository, isAnonymous }: Errand, isLater: boolean): readonly Account[] {
    const accepted = (isAnonymous ? [this.#stranger] : this.#present()).filter(
      ({ rejected }) => rejected.leftMs === 0,
    );
    const welcome = accepted.filter((account) => !account.isDenied(repository));
    return welcome.length > 0 || isLater ? welcome : accepted;
  }

  #isOut(account: Account, { isPull }: Errand): boolean {
    const isThere = this.#present().includes(account);
    return !isThere || account.rejected.leftMs > 0 || (isPull && account.pulls.leftMs > 0);
  }

  #pullsAfterMs(account: Account, { isBackground }: Errand): number {
    const reservedMs = isBackground ? account.inReserveMs(this.#options.reserve) : 0;
    return Math.max(account.pulls.leftMs, reservedMs);
  }

  async #isReady(account: Account): Promise<boolean> {
    try {
      await account.open();
      return !account.isAbsent;
    } catch {
      return false; // it is kept as the account's rejection, and told where nobody else can ask
    }
  }

  /** The soonest time at which one of them may pull; else why the logins are not used. */
  #whyNobody(errand: Errand, failure?: UpstreamError): UpstreamError | undefined {
    const { host } = this.#options.url;
    const resting = errand.isPull ? this.#welcome(errand, false) : [];
    const waits = resting.map((account) => this.#pullsAfterMs(account, errand)).filter((ms) => ms > 0);
    if (waits.length > 0) {
      const isLimit = resting.every(({ pulls }) => pulls.leftMs > 0);
      const why = isLimit ? 'allows no more pulls for now' : 'has few pulls left: they are kept for clients';
      return throttled(`${host} ${why}`, host, 'pulls', Math.min(...waits), failure === undefined);
    }
    return errand.isAnonymous ? undefined : this.#present().find(({ rejection }) => rejection)?.rejection;
  }

  #nobody(): UpstreamError {
    const { host } = this.#options.url;
    return new UpstreamError(`${host}: no account may ask`, { reason: 'denied', host });
  }
}

/** While nobody may pull, the questions that cost nothing go round: any of them may find that a limit has lifted. */
function longestUncounted(accounts: readonly Account[], first: Account): Account {
  return accounts.reduce((best, account) => (account.countedAtMs < best.countedAtMs ? account : best), first);
}

/** Whom upstream has not counted yet is taken to have what the current one has when it is full. */
function hasClearlyMore(other: Account, current: Account): boolean {
  const full = current.rateLimit?.limit ?? Number.POSITIVE_INFINITY;
  return (Number.isFinite(other.left) ? other.left : full) > 2 * current.left;
}
