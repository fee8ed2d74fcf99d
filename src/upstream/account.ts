/** Owns what is known of one account at one address: its login, what it may still pull, where it is refused. */
import { LRUCache } from 'lru-cache';
import type { Repository } from '../oci/reference.ts';
import type { Credentials } from './credentials.ts';
import type { Login } from './docker-config.ts';
import { UpstreamError } from './errors.ts';
import { MAX_REST_MS, type RateLimit } from './rate-limit.ts';
import { Rest } from './rest.ts';

/** An account as status and metrics show it; holds no secret. */
export interface AccountState {
  account: string;
  limit: number | undefined;
  remaining: number | undefined;
  /** pulls that may be made when no client waits: without the reserve; undefined where it is not known */
  spare: number | undefined;
  windowS: number | undefined;
  /** whom upstream counts */
  source: string | undefined;
  /** whether upstream said it within its window: what is older may be otherwise by now */
  isCurrent: boolean;
  /** until when nothing is pulled with it; undefined where it may */
  restingUntilMs: number | undefined;
  /** until when its login, which upstream refused or which cannot be had, is not tried again */
  rejectedUntilMs: number | undefined;
}

export interface AccountOptions {
  /** tells accounts of one user apart */
  id: number;
  credentials: Credentials;
  /** the address, for errors */
  host: string;
  now: () => number;
  random: () => number;
  /** told when its login begins to rest */
  onRejected: (account: Account, error: UpstreamError) => void;
}

/** Pulls that are kept for what clients wait for: so many, or a share of the limit. */
export type Reserve = number | { share: number };

/** Upstream gives and takes access; a repository that an account was refused is tried with it again after this long. */
const DENIED_MS = 5 * 60_000;
const MAX_DENIED = 10_000;
/** A configuration of Docker's without a login is looked at again after this long. */
const ABSENT_MS = 5 * 60_000;
const MAX_NAME_LENGTH = 64;

export class Account {
  /** after a pull limit was met */
  readonly pulls: Rest;
  /** after its login was refused as such, not for one repository: a wrong password that is tried often locks an account */
  readonly rejected: Rest;
  readonly #options: AccountOptions;
  readonly #deniedUntilMs = new LRUCache<Repository, number>({ max: MAX_DENIED });
  #name: string;
  #absentUntilMs = 0;
  #counted: (RateLimit & { atMs: number }) | undefined;
  #rejection: UpstreamError | undefined;
  #isAccepted = false;
  #showing: Promise<void> | undefined;
  /** pull limits met since something was pulled */
  #refusals = 0;

  constructor(options: AccountOptions) {
    const { credentials, now, random } = options;
    this.#options = options;
    this.#name = nameOf(credentials);
    this.pulls = new Rest({ firstMs: 30_000, maxMs: MAX_REST_MS, now, random });
    this.rejected = new Rest({ firstMs: 10_000, maxMs: 5 * 60_000, now, random });
  }

  get id(): number {
    return this.#options.id;
  }

  /** for people; not unique */
  get name(): string {
    return this.#name;
  }

  /** whether its source was found to hold no login: then it is no account */
  get isAbsent(): boolean {
    return this.#options.now() < this.#absentUntilMs;
  }

  /** why its login is not used now */
  get rejection(): UpstreamError | undefined {
    return this.rejected.leftMs > 0 ? this.#rejection : undefined;
  }

  /**
   * @returns its login, undefined where it has none
   * @throws UpstreamError where that cannot be had
   */
  async open(): Promise<Login | undefined> {
    const { credentials, host, now } = this.#options;
    let login: Login | undefined;
    try {
      login = await credentials.login();
    } catch (error) {
      // Going on anonymously would spend a limit that nobody meant to spend, and hide the mistake.
      // Why, is for the log: clients are shown the message, and it would name files and programs.
      const message = `hubcap's credentials for ${host} cannot be had`;
      const failure = new UpstreamError(message, { reason: 'token', host, cause: error });
      this.reject(failure);
      throw failure;
    }
    if (login) this.#name = nameOf(credentials, login);
    else if (credentials.source.kind !== 'anonymous') this.#absentUntilMs = now() + ABSENT_MS;
    return login;
  }

  /**
   * Shows its login. One that was not accepted yet is shown by one of those who ask at once: the others wait for what
   * becomes of it, since one that is wrong too often locks an account.
   * @param isYes whether what came back accepts it; where `ask` fails, nothing does
   */
  async show<T>(ask: () => Promise<T>, isYes: (result: T) => boolean = () => true): Promise<T> {
    if (this.#isAccepted) return await ask();
    const others = this.#showing;
    if (others) await others;
    // Whoever was chosen before it was refused comes too late; whoever goes ahead after the rest does not.
    if (this.rejection && !this.rejected.isProbing) throw this.rejection;
    if (others) return await ask();
    const asked = ask();
    const settle = (isAccepted: boolean): void => {
      this.#isAccepted = isAccepted;
      this.#showing = undefined;
    };
    this.#showing = asked.then(
      (result) => settle(isYes(result)),
      () => settle(false), // why not, is told to whoever asked
    );
    return await asked;
  }

  /** Its login is not shown again for a while, and read afresh then. */
  reject(error: UpstreamError): void {
    this.#options.credentials.forget();
    this.#rejection = error;
    this.#isAccepted = false;
    if (this.rejected.begin()) this.#options.onRejected(this, error);
  }

  /** Upstream does not let it into this repository. */
  deny(repository: Repository): void {
    this.#deniedUntilMs.set(repository, this.#options.now() + DENIED_MS);
  }

  isDenied(repository: Repository): boolean {
    return this.#options.now() < (this.#deniedUntilMs.get(repository) ?? 0);
  }

  /** Upstream let it in. */
  admit(repository: Repository): void {
    this.#deniedUntilMs.delete(repository);
  }

  /** What an answer to a question of that era of `pulls` said about the limit. */
  count(limit: RateLimit, era: number): void {
    this.#counted = { ...limit, atMs: this.#options.now() };
    // A count that says "go on" is believed once: where a pull was refused all the same, time alone decides.
    if (limit.remaining !== undefined && limit.remaining > 0 && this.#refusals <= 1) this.pulls.end(era);
  }

  /** A manifest was given to a question of that era. */
  pulled(era: number): void {
    if (this.pulls.leftMs === 0 || era === this.pulls.era) this.#refusals = 0;
    this.pulls.end(era);
  }

  /** A pull limit was met. @param restMs where upstream says how long */
  exhaust(restMs: number | undefined): void {
    if (this.pulls.begin(restMs)) this.#refusals += 1;
  }

  /** what upstream last said, as long as its window */
  get rateLimit(): RateLimit | undefined {
    return this.#countHoldsMs > 0 ? this.#counted : undefined;
  }

  /** when upstream last counted its pulls; 0 where it never did */
  get countedAtMs(): number {
    return this.#counted?.atMs ?? 0;
  }

  /** pulls that it has left; what was never counted is full */
  get left(): number {
    if (this.pulls.leftMs > 0) return 0;
    return this.rateLimit?.remaining ?? Number.POSITIVE_INFINITY;
  }

  /** @returns ms until the count that says that no more than the reserve is left is too old; 0 where there is more */
  inReserveMs(reserve: Reserve): number {
    const { remaining } = this.rateLimit ?? {};
    if (remaining === undefined) return 0;
    const kept = this.#kept(reserve);
    return kept > 0 && remaining <= kept ? this.#countHoldsMs : 0;
  }

  #kept(reserve: Reserve): number {
    return typeof reserve === 'number' ? reserve : Math.floor((this.rateLimit?.limit ?? 0) * reserve.share);
  }

  #spare(reserve: Reserve): number | undefined {
    if (this.pulls.leftMs > 0 || this.rejected.leftMs > 0) return 0;
    const { remaining } = this.rateLimit ?? {};
    return remaining === undefined ? undefined : Math.max(0, remaining - this.#kept(reserve));
  }

  /** ms; a window that upstream does not name, or makes too long, is bounded */
  get #countHoldsMs(): number {
    if (!this.#counted) return 0;
    const { atMs, windowS = Number.POSITIVE_INFINITY } = this.#counted;
    return Math.max(0, atMs + Math.min(windowS * 1000, MAX_REST_MS) - this.#options.now());
  }

  state(name: string, reserve: Reserve): AccountState {
    const { limit, remaining, windowS, source } = this.#counted ?? {};
    const until = ({ leftMs }: Rest): number | undefined =>
      leftMs > 0 ? this.#options.now() + leftMs : undefined;
    return {
      ...{ account: name, limit, remaining, spare: this.#spare(reserve), windowS, source },
      isCurrent: this.#countHoldsMs > 0,
      ...{ restingUntilMs: until(this.pulls), rejectedUntilMs: until(this.rejected) },
    };
  }
}

/** Some registries take a token for both the user name and the password: such a name is none to show. */
function nameOf({ source }: Credentials, login?: Login): string {
  if (source.kind === 'anonymous') return 'anonymous';
  const known = source.kind === 'password' ? source : login;
  if (!known) return 'docker-config';
  const { username, password } = known;
  return username === '' || username === password ? 'token' : username.slice(0, MAX_NAME_LENGTH);
}
