/** Owns one registry as a client: what hubcap asks it, and what its answers mean (distribution-spec, "Pull"). */
import { type Digest, parseDigest } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { bareType, MANIFEST_ACCEPT } from '../oci/media-types.ts';
import { type Reference, type Repository, referenceText } from '../oci/reference.ts';
import { type Ask, Asker, type UpstreamOptions, unexpectedStatus } from './asker.ts';
import { type Download, openDownload, type WantedBlob } from './download.ts';
import { UpstreamError } from './errors.ts';
import type { RateLimit } from './rate-limit.ts';
import { contentSize, followRedirects, isRedirect } from './redirects.ts';
import { withRetries } from './retry.ts';
import { type Answer, destroyBody, discardBody, type Lane, readSmall } from './transport.ts';

export interface ManifestHead {
  /** what upstream says, undefined where it does not or says nonsense */
  digest: Digest | undefined;
  mediaType: string | undefined;
  /** bytes */
  size: number | undefined;
}

export interface FetchedManifest extends ManifestHead {
  body: Buffer;
}

export interface FetchedPage {
  body: Buffer;
  mediaType: string | undefined;
  /** the `Link` header, for the next page */
  link: string | undefined;
}

/** Clients wait 30 s for a response's head (containerd): hubcap must know before. */
const ANSWER_DEADLINE_MS = 25_000;
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** Absence is undefined; everything that is not a clear yes or no is thrown as UpstreamError. */
export class Upstream {
  readonly host: string;
  readonly address: URL;
  readonly #options: UpstreamOptions;
  readonly #asker: Asker;
  readonly #stranger: Asker;

  constructor(options: UpstreamOptions) {
    this.host = options.host;
    this.address = options.url;
    this.#options = options;
    this.#asker = new Asker(options);
    this.#stranger =
      options.credentials.length === 0 ? this.#asker : new Asker({ ...options, credentials: [] });
  }

  /** what upstream last said about its limits */
  get rateLimit(): RateLimit | undefined {
    return this.#asker.rateLimit;
  }

  /** whether it is asked with credentials: then not all that it gives is for everybody */
  get hasCredentials(): boolean {
    return this.#options.credentials.length > 0;
  }

  /**
   * Asks, as somebody without credentials, for what stands below a repository.
   * @param path `manifests/latest`, `blobs/sha256:…`
   * @returns whether it is given to everybody, `absent` where upstream says that there is no such thing (to them)
   * @throws UpstreamError where it cannot say
   */
  async isPublic(
    repository: Repository,
    kind: Ask['kind'],
    path: string,
  ): Promise<'public' | 'private' | 'absent'> {
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const headers = { accept: MANIFEST_ACCEPT };
    const ask: Ask = { kind, method: 'HEAD', repository, path, headers, signal, lane: 'short' };
    try {
      return await this.#retrying(signal, async () => {
        const answer = await this.#stranger.ask(ask);
        await discardBody(answer);
        return answer.status === 404 ? 'absent' : 'public';
      });
    } catch (error) {
      if (error instanceof UpstreamError && error.reason === 'denied') return 'private';
      throw error;
    }
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
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const lane = isAfresh ? 'fresh' : 'short';
    return await this.#retrying(signal, async () => {
      const answer = await this.#askManifest('GET', repository, reference, signal, lane, isBackground);
      if (!answer) return undefined;
      return { ...headOf(answer), body: await this.#read(answer, MAX_MANIFEST_BYTES) };
    });
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
    const signal = AbortSignal.timeout(deadlineMs);
    return await this.#retrying(signal, async () => {
      const answer = await this.#askManifest('HEAD', repository, reference, signal, 'short');
      if (!answer) return undefined;
      await discardBody(answer);
      return headOf(answer);
    });
  }

  /** Asks whether a repository holds a blob, without downloading it. `size` is undefined where upstream hides it. */
  async headBlob(repository: Repository, digest: Digest): Promise<{ size: number | undefined } | undefined> {
    const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    return await this.#retrying(signal, async () => {
      const answer = await this.#asker.ask(this.#blobAsk('HEAD', repository, digest, {}, signal, 'short'));
      await discardBody(answer);
      if (answer.status === 404) return undefined;
      if (!isRedirect(answer.status)) return { size: contentSize(answer) };
      // The registry has it. What it points to is often signed for GET alone: ask for one byte.
      const byte = await this.#openBlob(repository, digest, { range: 'bytes=0-0' }, signal, 'short');
      if (byte) destroyBody(byte);
      return byte && { size: contentSize(byte) };
    });
  }

  /**
   * Opens a blob for download; the download resumes by itself where the connection breaks.
   * @returns undefined where the repository does not hold it
   */
  async download(repository: Repository, digest: Digest, wanted: WantedBlob): Promise<Download | undefined> {
    const { retries, timeouts, observer, url, now } = this.#options;
    return await openDownload({
      ...wanted,
      retries,
      stallMs: timeouts.stallMs,
      answerDeadlineMs: ANSWER_DEADLINE_MS,
      host: url.host,
      received: observer.received,
      resumed: observer.resumed,
      open: (headers, until) => this.#openBlob(repository, digest, headers, until, wanted.lane),
      now,
    });
  }

  /**
   * Fetches a page of `tags/list` or `referrers/<digest>`.
   * @param path with its query
   * @param deadlineMs how long the caller can wait
   */
  async page(
    kind: 'tags' | 'referrers',
    repository: Repository,
    path: string,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<FetchedPage | undefined> {
    const signal = AbortSignal.timeout(deadlineMs);
    return await this.#retrying(signal, async () => {
      const headers = { accept: 'application/json, application/vnd.oci.image.index.v1+json' };
      const question = { method: 'GET', headers, signal, lane: 'short' } as const;
      const asked = await this.#asker.ask({ ...question, kind, repository, path });
      // registry.k8s.io sends these, too, to a regional registry.
      const answer = isRedirect(asked.status)
        ? await followRedirects(this.#asker.transport, this.#options.url, asked, question)
        : asked;
      if (answer.status !== 200) return await this.#absent(answer);
      const body = await this.#read(answer, MAX_PAGE_BYTES);
      return { body, mediaType: answer.header('content-type'), link: answer.header('link') };
    });
  }

  /** Ends all connections; what runs fails. */
  async close(): Promise<void> {
    await Promise.all([this.#asker.transport.close(), this.#stranger.transport.close()]);
  }

  async #retrying<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return await withRetries(this.#options.retries, signal, work);
  }

  async #askManifest(
    method: 'GET' | 'HEAD',
    repository: Repository,
    reference: Reference,
    signal: AbortSignal,
    lane: Lane,
    isBackground = false,
  ): Promise<Answer | undefined> {
    const path = `manifests/${referenceText(reference)}`;
    const headers = { accept: MANIFEST_ACCEPT };
    const answer = await this.#asker.ask({
      kind: 'manifest',
      method,
      repository,
      path,
      headers,
      signal,
      lane,
      isBackground,
    });
    if (answer.status === 404) return await this.#absent(answer);
    // registry.k8s.io sends manifest requests to a regional registry.
    return await followRedirects(this.#asker.transport, this.#options.url, answer, {
      method,
      headers,
      signal,
      lane,
    });
  }

  /** 404 is absence; another answer that got this far is none that a registry gives. */
  async #absent(answer: Answer): Promise<undefined> {
    await discardBody(answer);
    if (answer.status === 404) return undefined;
    throw unexpectedStatus(this.#options.url.host, answer.status);
  }

  async #openBlob(
    repository: Repository,
    digest: Digest,
    headers: Record<string, string>,
    signal: AbortSignal,
    lane: Lane,
  ): Promise<Answer | undefined> {
    const answer = await this.#asker.ask(this.#blobAsk('GET', repository, digest, headers, signal, lane));
    if (answer.status === 404) return await this.#absent(answer);
    return await followRedirects(this.#asker.transport, this.#options.url, answer, {
      method: 'GET',
      headers,
      signal,
      lane,
    });
  }

  #blobAsk(
    method: 'GET' | 'HEAD',
    repository: Repository,
    digest: Digest,
    headers: Record<string, string>,
    signal: AbortSignal,
    lane: Lane,
  ): Ask {
    return { kind: 'blob', method, repository, path: `blobs/${digest}`, headers, signal, lane };
  }

  async #read(answer: Answer, maxBytes: number): Promise<Buffer> {
    const encoding = answer.header('content-encoding');
    if (encoding !== undefined && encoding !== 'identity') {
      destroyBody(answer);
      throw new UpstreamError(
        `${this.#options.url.host}: it sends ${encoding} although identity was asked for`,
        {
          reason: 'bad-answer',
          host: this.#options.url.host,
        },
      );
    }
    const body = await readSmall(answer, this.#options.url.host, maxBytes);
    this.#options.observer.received(body.length);
    return body;
  }
}

function headOf(answer: Answer): ManifestHead {
  const digest = answer.header('docker-content-digest');
  const type = answer.header('content-type');
  return {
    digest: digest === undefined ? undefined : parseDigest(digest.trim()),
    mediaType: type === undefined ? undefined : bareType(type),
    size: contentSize(answer),
  };
}
