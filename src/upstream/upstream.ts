/** Owns one registry as a client: which of its endpoints is asked, how often, for how long (distribution-spec, "Pull"). */
import type { Digest } from '../oci/digest.ts';
import { type Reference, type Repository, referenceText } from '../oci/reference.ts';
import type { AccountState } from './account.ts';
import type { ManifestHead } from './answers.ts';
import type { UpstreamOptions } from './asker.ts';
import { blobOpener, type OpenBlob, withoutValidator } from './blob-opener.ts';
import type { Asked, EndpointState } from './circuit.ts';
import { type Download, openDownload, type WantedBlob } from './download.ts';
import { Endpoint, type FetchedManifest, type FetchedPage, hasIdentity, type Manner } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import { Failover } from './failover.ts';
import { InFlight, untilRead } from './in-flight.ts';
import { ANSWER_DEADLINE_MS, type Question, toQuestion } from './question.ts';
import { withRetries } from './retry.ts';

export type { ManifestHead } from './answers.ts';
export type { FetchedManifest, FetchedPage } from './endpoint.ts';

export interface UpstreamSettings extends UpstreamOptions {
  /** nearer copies, asked in this order before the registry itself */
  mirrors: readonly EndpointAddress[];
}

export type EndpointAddress = Pick<UpstreamOptions, 'url' | 'realms' | 'credentials' | 'tls'>;

export interface EndpointStatus {
  url: string;
  state: EndpointState;
  /** why it is not `up` */
  failure: UpstreamError | undefined;
  /** whoever answers there is believed */
  isInsecure: boolean;
}

/** Whoever has an upstream that was taken out may ask it again, as a step of what it has begun. */
const QUIET_MS = 30_000;
/** What runs has deadlines of its own; this bounds a fault of ours, and a download that crawls for a day. */
const RETIREMENT_MS = 24 * 3_600_000;

/** Absence is undefined; everything that is not a clear yes or no is thrown as UpstreamError. */
export class Upstream {
  readonly host: string;
  readonly address: URL;
  /** whether it is asked with credentials or a client certificate: then not all that it gives is for everybody */
  readonly hasCredentials: boolean;
  /** whether all that it gives is given by the registry itself to somebody without credentials */
  readonly isStranger: boolean;
  readonly #options: UpstreamSettings;
  readonly #authority: Endpoint;
  readonly #endpoints: readonly Endpoint[];
  readonly #inFlight = new InFlight();
  readonly #closed = new AbortController();
  #successor: Upstream | undefined;

  constructor(options: UpstreamSettings) {
    this.host = options.host;
    this.address = options.url;
    this.hasCredentials = [options, ...options.mirrors].some(hasIdentity);
    this.isStranger = !this.hasCredentials && options.mirrors.length === 0;
    this.#options = options;
    this.#authority = new Endpoint(options, true);
    const mirrors = options.mirrors.map((mirror) => new Endpoint({ ...options, ...mirror }, false));
    this.#endpoints = [...mirrors, this.#authority];
  }

  /** who may ask, at each endpoint, and what upstream last said about their limits */
  get accounts(): AccountState[] {
    return this.#endpoints.flatMap((endpoint) => endpoint.accounts);
  }

  /** until when the registry itself is not asked: the limit on the requests of this address was met */
  get restingUntilMs(): number | undefined {
    return this.#authority.restingUntilMs;
  }

  /** in the order in which they are asked */
  get endpoints(): EndpointStatus[] {
    return this.#endpoints.map(({ address, state, failure, isInsecure }) => {
      return { url: address.href, state, failure, isInsecure };
    });
  }

  /** Tries endpoints again that failed, where it is time to. Never rejects. */
  async probe(): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.probeIfDue()));
  }

  /**
   * Asks, as somebody without credentials, for what stands below a repository.
   * @param path `manifests/latest`, `blobs/sha256:…`
   * @param deadlineMs how long the caller can wait
   * @returns whether it is given to everybody, `absent` where upstream says that there is no such thing (to them)
   * @throws UpstreamError where it cannot say
   */
  async isPublic(
    repository: Repository,
    kind: Asked['kind'],
    path: string,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<'public' | 'private' | 'absent'> {
    const question = { ...toQuestion(kind, repository, path, deadlineMs), isAnonymous: true };
    // What a mirror gives to strangers may be for those alone who reach the mirror.
    const answer = await this.#ask(question, [this.#authority], (endpoint, signal) =>
      endpoint.isPublic(kind, repository, path, { signal, lane: 'short' }),
    );
    return answer ?? 'absent';
  }

  /**
   * Fetches a manifest. By tag or digest this counts against a pull limit.
   * @param isAfresh whether to use a connection that nothing has used before: the last one brought wrong content
   * @param isBackground whether no client waits for it: then the reserve of a pull limit is not spent
   */
  async manifest(
    repository: Repository,
    reference: Reference,
    { isAfresh = false, isBackground = false } = {},
  ): Promise<FetchedManifest | undefined> {
    const path = `manifests/${referenceText(reference)}`;
    const lane = isAfresh ? 'fresh' : 'short';
    return await this.#ask(toQuestion('manifest', repository, path), this.#order(lane), (endpoint, signal) =>
      endpoint.manifest(repository, path, { signal, lane, isBackground }),
    );
  }

  /**
   * Asks what a reference is. Does not count against a pull limit.
   * @param deadlineMs how long the caller can wait; `confirm` in the configuration where content is known
   */
  async headManifest(
    repository: Repository,
    reference: Reference,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<ManifestHead | undefined> {
    const path = `manifests/${referenceText(reference)}`;
    const question = toQuestion('manifest', repository, path, deadlineMs);
    return await this.#ask(question, this.#endpoints, (endpoint, signal) =>
      endpoint.headManifest(repository, path, { signal, lane: 'short' }),
    );
  }

  /**
   * Asks whether a repository holds a blob, without downloading it. `size` is undefined where upstream hides it.
   * @param deadlineMs how long the caller can wait
   */
  async headBlob(
    repository: Repository,
    digest: Digest,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<{ size: number | undefined } | undefined> {
    const question = toQuestion('blob', repository, `blobs/${digest}`, deadlineMs);
    return await this.#ask(question, this.#endpoints, (endpoint, signal) =>
      endpoint.headBlob(repository, digest, { signal, lane: 'short' }),
    );
  }

  /**
   * Opens a blob for download; the download resumes by itself where the connection breaks.
   * @returns undefined where the repository does not hold it
   */
  async download(repository: Repository, digest: Digest, wanted: WantedBlob): Promise<Download | undefined> {
    const { retries, timeouts, observer, url, offline, now } = this.#options;
    const end = this.#inFlight.begin();
    try {
      const download = await openDownload({
        ...wanted,
        retries,
        stallMs: timeouts.stallMs,
        answerDeadlineMs: ANSWER_DEADLINE_MS,
        host: url.host,
        received: observer.received,
        resumed: observer.resumed,
        open: this.#latestOpener(repository, digest, wanted),
        offline,
        now,
      });
      if (!download) end();
      return download && { ...download, chunks: untilRead(download.chunks, wanted.signal, end) };
    } catch (error) {
      end();
      throw error;
    }
  }

  /**
   * Fetches a page of `tags/list` or `referrers/<digest>`.
   * @param path with its query
   * @param deadlineMs how long the caller can wait; `confirm` in the configuration where something is known
   */
  async page(
    kind: 'tags' | 'referrers',
    repository: Repository,
    path: string,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<FetchedPage | undefined> {
    const patience = deadlineMs <= this.#options.timeouts.confirmMs ? 'short' : 'long';
    const question = { ...toQuestion(kind, repository, path, deadlineMs), patience } as const;
    return await this.#ask(question, this.#endpoints, (endpoint, signal) =>
      endpoint.page(kind, repository, path, { signal, lane: 'short' }),
    );
  }

  /**
   * Takes it out of use: what runs may end here, and a download that breaks goes on at the successor. Resolves when it
   * is closed, which it is as soon as nothing has used it for a while. Never rejects.
   * @param successor what has its place now; undefined where the upstream is no longer mirrored
   */
  async retire(successor: Upstream | undefined, quietMs = QUIET_MS): Promise<void> {
    this.#successor = successor;
    const closed = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(RETIREMENT_MS)]);
    await this.#inFlight.quiet(quietMs, closed);
    await this.close();
  }

  /** Ends all connections; what runs fails. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
  }

  /** Asks endpoint after endpoint, and all of them again where that may help, until one says yes or the registry no. */
  async #ask<T>(
    { deadlineMs, ...asked }: Question,
    endpoints: readonly Endpoint[],
    work: (endpoint: Endpoint, signal: AbortSignal) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const { retries, observer, offline, now } = this.#options;
    const end = this.#inFlight.begin();
    const signal = AbortSignal.timeout(deadlineMs);
    const failover = new Failover(endpoints, asked, now);
    try {
      const untilMs = now() + deadlineMs;
      return await withRetries(retries, signal, () => failover.pass(signal, untilMs, work), offline);
    } catch (error) {
      if (error instanceof UpstreamError) observer.failed(error);
      throw error;
    } finally {
      failover.settle();
      end();
    }
  }

  /** Asks whoever has this upstream's place when it is asked: other credentials may be why the download broke. */
  #latestOpener(repository: Repository, digest: Digest, wanted: WantedBlob): OpenBlob {
    let asked: Upstream = this;
    let open = this.#opener(repository, digest, wanted);
    return async (headers, signal, check) => {
      const latest = asked.#latest();
      if (latest !== asked) open = latest.#opener(repository, digest, wanted);
      asked = latest;
      // Of a validator the successor may know nothing; the digest proves the content in the end.
      const sent = asked === this ? headers : withoutValidator(headers);
      return await asked.#inFlight.during(() => open(sent, signal, check));
    };
  }

  #latest(): Upstream {
    return this.#successor ? this.#successor.#latest() : this;
  }

  #opener(repository: Repository, digest: Digest, { lane }: WantedBlob): OpenBlob {
    return blobOpener({ ...this.#options, repository, digest, lane, endpoints: this.#order(lane) });
  }

  /** What came wrong is asked for at the registry itself first: a mirror may keep what is wrong. */
  #order(lane: Manner['lane']): readonly Endpoint[] {
    return lane === 'fresh' ? this.#endpoints.toReversed() : this.#endpoints;
  }
}
