/** Owns a registry for tests: what it is pushed, it serves; what it was asked, it remembers. */
import type { TlsOptions } from 'node:tls';
import type { Test } from 'tap';
import type { Digest } from '../../src/oci/digest.ts';
import type { Content, Image, Index, TypedContent } from './content.ts';
import { type Answer, type Asked, type PersonaServer, startPersonaServer } from './persona-server.ts';

export interface Registry extends PersonaServer {
  /** Makes a repository hold an image, an index with its images, or a blob. */
  push(repository: string, content: Image | Index | Content, tag?: string): void;
  /** Takes a digest out of a repository. */
  remove(repository: string, digest: Digest): void;
  untag(repository: string, tag: string): void;
  /** the bytes behind a digest, wherever they are; for the CDN */
  bytesOf(digest: string): Buffer | undefined;
}

interface Repository {
  manifests: Map<string, TypedContent>;
  blobs: Map<string, Buffer>;
  tags: Map<string, string>;
}

export async function startRegistry(t: Test, tls?: TlsOptions): Promise<Registry> {
  const repositories = new Map<string, Repository>();
  const repositoryOf = (name: string): Repository => {
    const known = repositories.get(name);
    if (known) return known;
    const made: Repository = { manifests: new Map(), blobs: new Map(), tags: new Map() };
    repositories.set(name, made);
    return made;
  };
  const pushManifest = (name: string, manifest: TypedContent, tag?: string): void => {
    repositoryOf(name).manifests.set(manifest.digest, manifest);
    if (tag !== undefined) repositoryOf(name).tags.set(tag, manifest.digest);
  };
  const push = (name: string, content: Image | Index | Content, tag?: string): void => {
    if ('body' in content) {
      repositoryOf(name).blobs.set(content.digest, content.body);
    } else if ('images' in content) {
      for (const image of content.images) push(name, image);
      pushManifest(name, content.manifest, tag);
    } else {
      for (const blob of [content.config, ...content.layers]) push(name, blob);
      pushManifest(name, content.manifest, tag);
    }
  };
  const server = await startPersonaServer(t, (asked) => answerFrom(repositories, asked), tls);
  return Object.assign(Object.create(server) as PersonaServer, {
    push,
    remove: (name: string, digest: Digest) => {
      repositoryOf(name).blobs.delete(digest);
      repositoryOf(name).manifests.delete(digest);
    },
    untag: (name: string, tag: string) => {
      repositoryOf(name).tags.delete(tag);
    },
    bytesOf: (digest: string) => {
      for (const { blobs } of repositories.values()) if (blobs.has(digest)) return blobs.get(digest);
      return undefined;
    },
  });
}

function answerFrom(repositories: ReadonlyMap<string, Repository>, asked: Asked): Answer {
  const [, name = '', kind, reference = ''] =
    asked.path.match(/^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/) ?? [];
  const repository = repositories.get(name);
  if (!repository) return ociError(404, 'NAME_UNKNOWN');
  if (kind === 'tags') return answerTags(name, repository, asked);
  if (kind === 'referrers') return jsonAnswer({ schemaVersion: 2, manifests: [] });
  if (kind === 'blobs') {
    const body = repository.blobs.get(reference);
    return body ? ranged(asked, body, reference) : ociError(404, 'BLOB_UNKNOWN');
  }
  const manifest = repository.manifests.get(repository.tags.get(reference) ?? reference);
  if (!manifest) return ociError(404, 'MANIFEST_UNKNOWN');
  const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest };
  return {
    status: 200,
    headers: { ...headers, 'content-length': String(manifest.body.length) },
    body: manifest.body,
  };
}

function answerTags(name: string, { tags }: Repository, { path, query }: Asked): Answer {
  const last = query.get('last') ?? '';
  const n = Number(query.get('n') ?? 1000);
  const after = [...tags.keys()].sort().filter((tag) => tag > last);
  const page = after.slice(0, n);
  const answer = jsonAnswer({ name, tags: page });
  if (after.length <= n) return answer;
  const link = `<${path}?n=${n}&last=${page.at(-1)}>; rel="next"`;
  return { ...answer, headers: { ...answer.headers, link } };
}

/** Content with its digest as a strong validator; a range of it where one is asked for (RFC 9110 §14). */
export function ranged(asked: Asked, body: Buffer, digest: string): Answer {
  const etag = `"${digest}"`;
  const headers = { etag, 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' };
  const { range, 'if-range': ifRange } = asked.headers;
  const match = ifRange === undefined || ifRange === etag ? range?.match(/^bytes=(\d+)-(\d*)$/) : undefined;
  const whole = { ...headers, 'content-length': String(body.length), 'docker-content-digest': digest };
  if (!match) return { status: 200, headers: whole, body };
  const start = Number(match[1]);
  const end = match[2] === '' ? body.length : Math.min(body.length, Number(match[2]) + 1);
  if (start >= body.length)
    return { status: 416, headers: { 'content-range': `bytes */${body.length}` }, body: Buffer.alloc(0) };
  const part = body.subarray(start, end);
  const partial = {
    'content-range': `bytes ${start}-${end - 1}/${body.length}`,
    'content-length': String(part.length),
  };
  return { status: 206, headers: { ...headers, ...partial }, body: part };
}

export function ociError(status: number, code: string): Answer {
  return { ...jsonAnswer({ errors: [{ code, message: 'not here' }] }), status };
}

function jsonAnswer(document: unknown): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(document)),
  };
}

/** What a whole image has, for the oracle. */
export function contentOf({ manifest, config, layers }: Image): Content[] {
  return [manifest, config, ...layers];
}
