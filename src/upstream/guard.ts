/** Owns asking an endpoint only while that makes sense: what it failed at is remembered, and tried again in time. */
import { MANIFEST_ACCEPT } from '../oci/media-types.ts';
import type { AccountState } from './account.ts';
import { baseUrl } from './address.ts';
import { type Ask, Asker, type UpstreamOptions, unexpectedStatus } from './asker.ts';
import { type Answered, type Asked, Circuit, type EndpointState, type Probe } from './circuit.ts';
import { type FailureReason, transportFailure, type UpstreamError } from './errors.ts';
import { offlineFailure } from './offline-switch.ts';
import { isNamed } from './realm.ts';
import { type Answer, discardBody, type Transport } from './transport.ts';

/** A client that can wait gives a probe this long to find the endpoint back, before it is told that it is away. */
const PROBE_PATIENCE_MS = 1_000;

export class Guard {
  readonly #asker: Asker;
  readonly #options: UpstreamOptions;
  readonly #circuit: Circuit;
  #probing: Promise<void> | undefined;

  constructor(options: UpstreamOptions) {
    const { timeouts, now } = options;
    this.#options = options;
    this.#asker = new Asker(options);
    this.#circuit = new Circuit({ probeMs: timeouts.probeMs, confirmMs: timeouts.confirmMs, now });
  }

  get accounts(): AccountState[] {
    return this.#asker.accounts;
  }

  get restingUntilMs(): number | undefined {
    return this.#asker.restingUntilMs;
  }

  get transport(): Transport {
    return this.#asker.transport;
  }

  get state(): EndpointState {
    return this.#circuit.state;
  }

  /** what the endpoint failed at, undefined while it is up */
  get failure(): UpstreamError | undefined {
    return this.#circuit.failure;
  }

  /**
   * Why this is not asked now; where it is time to try again, that is done on the way.
   * @returns undefined where it is to be asked
   */
  async refusal(asked: Asked): Promise<UpstreamError | undefined> {
    if (this.#options.offline.isOffline()) return offlineFailure(this.#options.url.host);
    this.#circuit.suggest(asked);
    const probing = this.probeIfDue();
    if (probing && asked.patience === 'long' && this.state === 'down')
      await untilOrLate(probing, PROBE_PATIENCE_MS);
    return this.#circuit.refusal(asked);
  }

  /** One question. @throws UpstreamError */
  async ask(ask: Ask): Promise<Answer> {
    const startMs = this.#options.now();
    const answer = await this.#asker.ask(ask);
    this.#watching(() => this.#circuit.answered(ask, this.#options.now() - startMs));
    return answer;
  }

  /** A question has failed at this endpoint with all its attempts. */
  failed(asked: Asked, error: UpstreamError): void {
    const { url, realms } = this.#options;
    const isEndpoint = error.host === url.host;
    if (!isEndpoint && !isNamed(error.host, realms)) return; // a CDN that is away says nothing about manifests
    this.#watching(() => this.#circuit.failed(asked, error, isEndpoint));
    this.probeIfDue();
  }

  /**
   * Tries again what failed, where it is time to.
   * @returns undefined where it is not; never rejects
   */
  probeIfDue(): Promise<void> | undefined {
    const due = this.#circuit.due();
    if (!this.#probing && due && !this.#options.offline.isOffline()) {
      this.#probing = this.#probe(due).finally(() => {
        this.#probing = undefined;
      });
    }
    return this.#probing;
  }

  /** Whatever is not a failure is a sign of life. */
  async #probe(probe: Probe): Promise<void> {
    const { now, timeouts, url } = this.#options;
    const signal = AbortSignal.timeout(timeouts.headersMs);
    const startMs = now();
    try {
      if (probe === 'base') await this.#askBase(signal);
      else await this.#askAgain(probe, signal);
      this.#watching(() => this.#circuit.found(now() - startMs));
    } catch (error) {
      const failure = transportFailure(url.host, error);
      if (failure.reason === 'stopped' || failure.reason === 'offline') return;
      const isAlive = SIGNS_OF_LIFE.has(failure.reason);
      this.#watching(() =>
        isAlive ? this.#circuit.found(now() - startMs) : this.#circuit.notFound(failure),
      );
    }
  }

  /** distribution-spec, "Determining Support": with a challenge or without, it answers. */
  async #askBase(signal: AbortSignal): Promise<void> {
    const { url } = this.#options;
    // Over a connection of its own: those in use may be what is wrong, or all be taken.
    const question = { method: 'GET', url: baseUrl(url), headers: {}, signal, lane: 'fresh' } as const;
    const answer = await this.#asker.transport.send(question);
    await discardBody(answer);
    if (answer.status >= 500) throw unexpectedStatus(url.host, answer.status);
  }

  /** HEAD costs no pull. The lane is the base's, for the same reason. */
  async #askAgain({ kind, repository, path }: Answered, signal: AbortSignal): Promise<void> {
    const headers = { accept: MANIFEST_ACCEPT };
    await discardBody(
      await this.ask({ kind, method: 'HEAD', repository, path, headers, signal, lane: 'fresh' }),
    );
  }

  /** Tells when the state has changed by what `work` does. */
  #watching(work: () => void): void {
    const { observer, url } = this.#options;
    const before = this.state;
    work();
    if (this.state !== before) observer.endpoint(url.host, this.state, this.failure);
  }
}

/** What only an endpoint that answers can fail at. */
const SIGNS_OF_LIFE: ReadonlySet<FailureReason> = new Set([
  'throttled',
  'denied',
  'untrusted-realm',
  'bad-answer',
  'redirect',
]);

async function untilOrLate(work: Promise<void>, ms: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  await Promise.race([work, late.promise]);
  clearTimeout(timer);
}
