/** Owns pushing to a registry by its HTTP API, with a token for each repository. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type Dispatcher, request } from 'undici';
import { type LayerSpec, makeLayer } from './layer.ts';
import { pusher, type TokenServer } from './token-server.ts';

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/** One repository of a registry, opened for writing. */
export class Push {
  readonly #url: string;
  readonly #authorization: string;

  private constructor(url: string, authorization: string) {
    this.#url = url;
    this.#authorization = authorization;
  }

  /** For a registry that wants a user name and a password with each request. */
  static withLogin(
    registryUrl: string,
    login: { username: string; password: string },
    repository: string,
  ): Push {
    const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    return new Push(`${registryUrl}/v2/${repository}`, `Basic ${basic}`);
  }

  /** Asks for a token that allows pushing to `repository`. */
  static async open(registryUrl: string, tokens: TokenServer, repository: string): Promise<Push> {
    const url = new URL(tokens.realm);
    url.searchParams.set('service', tokens.service);
    url.searchParams.set('scope', `repository:${repository}:pull,push`);
    const login = Buffer.from(`${pusher.username}:${pusher.password}`).toString('base64');
    const response = await expect(200, await request(url, { headers: { authorization: `Basic ${login}` } }));
    const { token } = (await response.body.json()) as { token: string };
    return new Push(`${registryUrl}/v2/${repository}`, `Bearer ${token}`);
  }

  /** Makes a layer while it is being sent. */
  async layer(spec: LayerSpec, mediaType: string): Promise<Descriptor & { diffId: string }> {
    const layer = makeLayer(spec);
    const session = await this.#send(202, 'POST', `${this.#url}/blobs/uploads/`);
    const written = await this.#send(202, 'PATCH', session, Readable.from(layer.body, { objectMode: false }));
    const measured = layer.measured();
    await this.#finishUpload(written, measured.digest);
    return { mediaType, ...measured };
  }

  /** A small blob that is at hand: an image's configuration. */
  async blob(content: Buffer, mediaType: string): Promise<Descriptor> {
    const digest = digestOf(content);
    const session = await this.#send(202, 'POST', `${this.#url}/blobs/uploads/`);
    await this.#finishUpload(session, digest, content);
    return { mediaType, digest, size: content.length };
  }

  async manifest(content: Buffer, mediaType: string, reference?: string): Promise<Descriptor> {
    const digest = digestOf(content);
    await this.#send(201, 'PUT', `${this.#url}/manifests/${reference ?? digest}`, content, mediaType);
    return { mediaType, digest, size: content.length };
  }

  async #finishUpload(session: string, digest: string, content?: Buffer): Promise<void> {
    const url = new URL(session);
    url.searchParams.set('digest', digest);
    await this.#send(201, 'PUT', url.href, content);
  }

  /** Returns where the response points to, as an absolute URL. */
  async #send(
    status: number,
    method: Dispatcher.HttpMethod,
    url: string,
    body?: Buffer | Readable,
    contentType = 'application/octet-stream',
  ): Promise<string> {
    const headers = { authorization: this.#authorization, 'content-type': contentType };
    const response = await expect(status, await request(url, { method, headers, body: body ?? null }));
    await response.body.dump();
    const { location } = response.headers;
    return new URL(typeof location === 'string' ? location : '', url).href;
  }
}

async function expect(status: number, response: Dispatcher.ResponseData): Promise<Dispatcher.ResponseData> {
  if (response.statusCode === status) return response;
  const found = { status: response.statusCode, body: await response.body.text() };
  throw new Error('the registry refused a push', { cause: { wanted: status, found } });
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
