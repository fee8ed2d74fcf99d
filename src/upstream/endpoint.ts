/** Owns one address of an upstream: single questions to it, and what their answers mean. */
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { MANIFEST_ACCEPT } from '../oci/media-types.ts';
import type { Repository } from '../oci/reference.ts';
import type { AccountState } from './account.ts';
import {
  headOf,
  isDocument,
  isHeadOfManifest,
  isHtml,
  isPage,
  MAX_HTML_BYTES,
  type ManifestHead,
} from './answers.ts';
import { type Ask, Asker, type UpstreamOptions, unexpectedStatus } from './asker.ts';
import type { Asked, EndpointState } from './circuit.ts';
import { UpstreamError } from './errors.ts';
import { Guard } from './guard.ts';
import { contentSize, followRedirects, isRedirect } from './redirects.ts';
import { askAsStranger, type StrangersWord } from './strangers.ts';
import { withoutIdentity } from './tls.ts';
import { type Answer, destroyBody, discardBody, type Lane, readSmall } from './transport.ts';

export interface FetchedManifest extends ManifestHead {
  body: Buffer;
}

export interface FetchedPage {
  body: Buffer;
  mediaType: string | undefined;
  /** the `Link` header, for the next page */
  link: string | undefined;
}

/** How a question is put, beside what it is. */
export interface Manner {
  signal: AbortSignal;
  lane: Lane;
  /** no client waits for it: the reserve of a pull limit is not spent on it */
  isBackground?: boolean;
}

const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** Each method is one attempt: absence is undefined, all that is no clear yes or no is thrown as UpstreamError. */
export class Endpoint {
  readonly address: URL;
  /** the registry itself: its "no such thing" is believed, a mirror's is not */
  readonly isAuthority: boolean;
  readonly #guard: Guard;
  readonly #stranger: Pick<Asker, 'ask' | 'transport'>;
  readonly #options: UpstreamOptions;

  constructor(options: UpstreamOptions, isAuthority: boolean) {
    this.address = options.url;
    this.isAuthority = isAuthority;
    this.#options = options;
    const { observer } = options;
    this.#guard = new Guard({
      ...options,
      observer: {
        ...observer,
        rejected: (account, error) => observer.rejected(this.#nameOf(account), error),
      },
    });
    // A client certificate opens what is not for everybody, as a password does.
    const { cert } = options.tls;
    this.#stranger = cert ? new Asker({ ...options, tls: withoutIdentity(options.tls) }) : this.#guard;
  }

  /** who may ask here; at a mirror they are named with its host */
  get accounts(): AccountState[] {
    return this.#guard.accounts.map((state) => ({ ...state, account: this.#nameOf(state.account) }));
  }

  /** until when nothing is asked: the limit on the requests of this address was met */
  get restingUntilMs(): number | undefined {
    return this.#guard.restingUntilMs;
  }

  /** whoever answers there is believed */
  get isInsecure(): boolean {
    return this.#options.tls.isInsecure;
  }

  get state(): EndpointState {
    return this.#guard.state;
  }

  /** what it failed at, undefined while it is up */
  get failure(): UpstreamError | undefined {
    return this.#guard.failure;
  }

  async manifest(repository: Repository, path: string, manner: Manner): Promise<FetchedManifest | undefined> {
    const answer = await this.#askManifest('GET', repository, path, manner);
    return answer && { ...headOf(answer), body: await this.#read(answer, MAX_MANIFEST_BYTES) };
  }

  async headManifest(
    repository: Repository,
    path: string,
    manner: Manner,
  ): Promise<ManifestHead | undefined> {
    const answer = await this.#askManifest('HEAD', repository, path, manner);
    if (!answer) return undefined;
    await discardBody(answer);
    return headOf(answer);
  }

  /** `size` is undefined where upstream hides it. */
  async headBlob(
    repository: Repository,
    digest: Digest,
    manner: Manner,
  ): Promise<{ size: number | undefined } | undefined> {
    const path = `blobs/${digest}`;
    const answer = await this.#guard.ask({
      kind: 'blob',
      method: 'HEAD',
      repository,
      path,
      headers: {},
      ...manner,
    });
    await discardBody(answer);
    if (answer.status === 404) return undefined;
    if (!isRedirect(answer.status)) return this.#sizeIn(answer);
    // The registry has it. What it points to is often signed for GET alone: ask for one byte.
    const byte = await this.openBlob(repository, digest, { range: 'bytes=0-0' }, manner);
    if (byte) destroyBody(byte);
    return byte && this.#sizeIn(byte);
  }

  /** @returns the head of an answer whose body is read from `manner.signal`'s connection */
  async openBlob(
    repository: Repository,
    digest: Digest,
    headers: Record<string, string>,
    manner: Manner,
  ): Promise<Answer | undefined> {
    const ask: Ask = { kind: 'blob', method: 'GET', repository, path: `blobs/${digest}`, headers, ...manner };
    const answer = await this.#guard.ask(ask);
    if (answer.status === 404) return await this.#absent(answer);
    const found = await this.#follow(answer, ask);
    if (!isPage(found)) return found;
    await this.#refusePage(found, digest);
    return await this.#follow(await this.#guard.ask(ask), ask);
  }

  /** Asks as somebody without credentials. @param path below the repository */
  async isPublic(
    kind: Ask['kind'],
    repository: Repository,
    path: string,
    manner: Manner,
  ): Promise<StrangersWord> {
    return await askAsStranger(this.#stranger, this.address, { kind, repository, path, ...manner });
  }

  /** @param path with its query */
  async page(
    kind: 'tags' | 'referrers',
    repository: Repository,
    path: string,
    manner: Manner,
  ): Promise<FetchedPage | undefined> {
    const headers = { accept: 'application/json, application/vnd.oci.image.index.v1+json' };
    const ask: Ask = { kind, method: 'GET', repository, path, headers, ...manner };
    const asked = await this.#guard.ask(ask);
    // registry.k8s.io sends these, too, to a regional registry.
    const answer = isRedirect(asked.status) ? await this.#follow(asked, ask) : asked;
    if (answer.status !== 200) return await this.#absent(answer);
    const body = await this.#read(answer, MAX_PAGE_BYTES);
    if (!isDocument(body)) {
      const { host } = this.address;
      const message = `${host}: what it sent as ${kind} is no list`;
      throw new UpstreamError(message, { reason: 'bad-answer', host, status: 200 });
    }
    return { body, mediaType: answer.header('content-type'), link: answer.header('link') };
  }

  /** Why this is not asked now; see `Guard`. */
  async refusal(asked: Asked): Promise<UpstreamError | undefined> {
    return await this.#guard.refusal(asked);
  }

  /** Tries again what failed, where it is time to. Never rejects. */
  async probeIfDue(): Promise<void> {
    await this.#guard.probeIfDue();
  }

  /** A question has failed at this endpoint with all its attempts. */
  failed(asked: Asked, error: UpstreamError): void {
    // Who comes without the client certificate may be sent away before a word is said; and a token server that has
    // nothing for strangers may say so in any way.
    if (asked.isAnonymous && (this.#stranger !== this.#guard || error.reason === 'token')) return;
    this.#guard.failed(asked, error);
  }

  /** Ends all connections; what runs fails. */
  async close(): Promise<void> {
    await Promise.all([this.#guard.transport.close(), this.#stranger.transport.close()]);
  }

  #nameOf(account: string): string {
    return this.isAuthority ? account : `${account}@${this.address.host}`;
  }

  async #askManifest(
    method: 'GET' | 'HEAD',
    repository: Repository,
    path: string,
    manner: Manner,
  ): Promise<Answer | undefined> {
    const headers = { accept: MANIFEST_ACCEPT };
    const answer = await this.#guard.ask({ kind: 'manifest', method, repository, path, headers, ...manner });
    if (answer.status === 404) return await this.#absent(answer);
    // registry.k8s.io sends manifest requests to a regional registry.
    const question = { method, headers, ...manner };
    const found = await followRedirects(this.#guard.transport, this.address, answer, question, true);
    if (found.status === 404) return await this.#absent(found);
    if (found.status === 200 && !isHtml(found) && (method === 'GET' || isHeadOfManifest(found))) return found;
    destroyBody(found);
    const { host } = this.address;
    const [reason, what] = isHtml(found)
      ? (['html', 'an HTML page'] as const)
      : (['bad-answer', 'something'] as const);
    throw new UpstreamError(`${host}: it sends ${what} in place of a manifest`, { reason, host });
  }

  /** An HTML page with status 200 has been served as a blob (facts, "Encoding"); a blob can be HTML too. */
  async #refusePage(answer: Answer, digest: Digest): Promise<void> {
    const { host } = this.address;
    const body = await readSmall(answer, host, MAX_HTML_BYTES);
    if (digestOf(body, algorithmOf(digest)) === digest) return;
    throw new UpstreamError(`${host}: it sends an HTML page in place of a blob`, { reason: 'html', host });
  }

  /** That it is there is permission: a page where people log in, which is there for everything, is none. */
  #sizeIn(answer: Answer): { size: number | undefined } {
    const { host } = this.address;
    if (answer.status !== 200 && answer.status !== 206) throw unexpectedStatus(host, answer.status);
    if (!isHtml(answer)) return { size: contentSize(answer) };
    throw new UpstreamError(`${host}: it sends an HTML page in place of a blob`, { reason: 'html', host });
  }

  async #follow(
    answer: Answer,
    question: { method: 'GET' | 'HEAD'; headers: Record<string, string> } & Manner,
  ): Promise<Answer> {
    return await followRedirects(this.#guard.transport, this.address, answer, question);
  }

  /** 404 is absence; another answer that got this far is none that a registry gives. */
  async #absent(answer: Answer): Promise<undefined> {
    await discardBody(answer);
    if (answer.status === 404) return undefined;
    throw unexpectedStatus(this.address.host, answer.status);
  }

  async #read(answer: Answer, maxBytes: number): Promise<Buffer> {
    const { host } = this.address;
    const encoding = answer.header('content-encoding');
    if (encoding !== undefined && encoding !== 'identity') {
      destroyBody(answer);
      const message = `${host}: it sends ${encoding} although identity was asked for`;
      throw new UpstreamError(message, { reason: 'bad-answer', host });
    }
    const body = await readSmall(answer, host, maxBytes);
    this.#options.observer.received(body.length);
    return body;
  }
}

/** Whether an address is asked as somebody: then not all that it gives is for everybody. */
export function hasIdentity({ credentials, tls }: Pick<UpstreamOptions, 'credentials' | 'tls'>): boolean {
  return credentials.some(({ kind }) => kind !== 'anonymous') || tls.cert !== undefined;
}
