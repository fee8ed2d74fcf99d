/** Owns the registry's URL space: a request line becomes a typed route, or an error that says what is wrong. Pure. */
import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseReference, parseRepository, type Reference, type Repository } from '../oci/reference.ts';
import { invalid, RegistryError } from '../oci/registry-error.ts';

/** Looks names of upstreams up; nothing but what is configured is ever found. */
export interface UpstreamNames<U> {
  readonly default: U;
  named(name: string): U | undefined;
  atVirtualHost(hostHeader: string | undefined): U | undefined;
}

interface Place<U> {
  upstream: U;
  repository: Repository;
  /** the client's `ns`, to be repeated in `OCI-Namespace` */
  ns: string | undefined;
}

export interface Page {
  /** how many at most; undefined where the client does not say */
  n: number | undefined;
  /** after which */
  last: string;
}

export type Route<U> =
  | { kind: 'base' }
  | { kind: 'catalog'; page: Page }
  | (Place<U> & { kind: 'manifest'; reference: Reference })
  | (Place<U> & { kind: 'blob'; digest: Digest })
  | (Place<U> & { kind: 'tags'; page: Page })
  | (Place<U> & { kind: 'referrers'; digest: Digest; artifactType: string | undefined; last: string });

export interface RequestLine {
  method: string;
  /** path and query, as sent */
  url: string;
  /** the `Host` header */
  host: string | undefined;
}

/** Longer URLs name nothing: 255 for a repository, 135 for a digest, the rest for `ns` and pages. */
export const MAX_URL_LENGTH = 2048;

const READ_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
/** On the Hub, names of one component are official images (facts, "Names"). */
const HUB = 'docker.io';

/**
 * The upstream of a request is looked for in this order: `?ns=`, the first component of the name, a path before
 * `/v2/`, the virtual host, the default (design, "Registry listener").
 * @throws RegistryError 4xx
 */
export function parseRoute<U extends { host: string }>(line: RequestLine, names: UpstreamNames<U>): Route<U> {
  if (line.url.length > MAX_URL_LENGTH) {
    throw new RegistryError(`the URL is longer than ${MAX_URL_LENGTH} characters`, {
      code: 'UNSUPPORTED',
      status: 414,
    });
  }
  const question = line.url.indexOf('?');
  const path = question < 0 ? line.url : line.url.slice(0, question);
  const v2 = path.startsWith('/v2/') || path === '/v2' ? 0 : path.indexOf('/v2/');
  if (!READ_METHODS.has(line.method)) throw readOnly(line.method);
  if (v2 < 0) throw notFound(path);
  const query = question < 0 ? NO_QUERY : new URLSearchParams(line.url.slice(question + 1));
  const prefix = v2 > 0 ? path.slice(1, v2) : undefined;
  const rest = path.slice(v2 + 4);
  if (prefix !== undefined) configured(prefix, names);
  if (rest === '') return { kind: 'base' };
  if (rest === '_catalog') return { kind: 'catalog', page: parsePage(query) };
  return parseBelowRepository(rest.split('/'), query, (components) =>
    locate(components, query, prefix, line.host, names),
  );
}

const NO_QUERY = new URLSearchParams();

function parseBelowRepository<U>(
  segments: string[],
  query: URLSearchParams,
  locateRepository: (components: string[]) => Place<U>,
): Route<U> {
  const last = segments.at(-1) ?? '';
  const noun = segments.at(-2);
  const components = segments.slice(0, -2);
  if (components.length === 0) throw notFound(`/v2/${segments.join('/')}`);
  if (noun === 'manifests') {
    const reference = parseReference(decodeColon(last));
    if (!reference) throw invalidReference(last);
    return { kind: 'manifest', reference, ...locateRepository(components) };
  }
  if (noun === 'blobs') return { kind: 'blob', digest: toDigest(last), ...locateRepository(components) };
  if (noun === 'tags' && last === 'list') {
    return { kind: 'tags', page: parsePage(query), ...locateRepository(components) };
  }
  if (noun === 'referrers') {
    const page = { artifactType: query.get('artifactType') ?? undefined, last: query.get('last') ?? '' };
    return { kind: 'referrers', digest: toDigest(last), ...page, ...locateRepository(components) };
  }
  throw notFound(`/v2/${segments.join('/')}`);
}

function locate<U extends { host: string }>(
  components: string[],
  query: URLSearchParams,
  prefix: string | undefined,
  host: string | undefined,
  names: UpstreamNames<U>,
): Place<U> {
  const ns = query.get('ns') ?? undefined;
  const [first = '', ...others] = components;
  if (ns !== undefined) return place(configured(ns, names), components, ns);
  const byFirst = others.length > 0 ? names.named(first) : undefined;
  if (byFirst) return place(byFirst, others, undefined);
  if (prefix !== undefined) return place(configured(prefix, names), components, undefined);
  const upstream = names.atVirtualHost(host) ?? names.default;
  // A host that is not configured must not become a repository of the default upstream.
  if (upstream.host === HUB && others.length > 0 && first.includes('.')) configured(first, names);
  return place(upstream, components, undefined);
}

function configured<U>(name: string, names: UpstreamNames<U>): U {
  const upstream = names.named(name);
  if (upstream) return upstream;
  const shown = name.slice(0, 100);
  throw new RegistryError(
    `hubcap does not mirror ${JSON.stringify(shown)}; add it under \`upstreams\` in hubcap's configuration, or pull from it directly`,
    { code: 'NAME_UNKNOWN', status: 404, detail: { upstream: shown } },
  );
}

function place<U extends { host: string }>(
  upstream: U,
  components: string[],
  ns: string | undefined,
): Place<U> {
  const isOfficial = upstream.host === HUB && components.length === 1;
  const name = isOfficial ? `library/${components[0]}` : components.join('/');
  const repository = parseRepository(name);
  if (repository) return { upstream, repository, ns };
  throw invalid(
    'NAME_INVALID',
    `${JSON.stringify(name.slice(0, 300))} is no repository name: lower-case letters, digits and . _ - between them, parts separated by /`,
  );
}

function parsePage(query: URLSearchParams): Page {
  const n = query.get('n');
  if (n !== null && !/^\d{1,9}$/.test(n)) {
    throw new RegistryError('`n` must be a number of entries', { code: 'UNSUPPORTED', status: 400 });
  }
  return { n: n === null ? undefined : Number(n), last: query.get('last') ?? '' };
}

/** Some clients escape the colon of a digest; nothing else in a valid URL needs escaping. */
function decodeColon(segment: string): string {
  return segment.replace(/%3a/i, ':');
}

function toDigest(segment: string): Digest {
  const text = decodeColon(segment);
  const digest = parseDigest(text);
  if (digest) return digest;
  throw invalid(
    'DIGEST_INVALID',
    `${JSON.stringify(text.slice(0, 200))} is no digest: sha256: and 64, or sha512: and 128 lower-case hex digits`,
  );
}

function invalidReference(segment: string): RegistryError {
  if (decodeColon(segment).includes(':')) {
    toDigest(segment);
  }
  return invalid(
    'TAG_INVALID',
    `${JSON.stringify(segment.slice(0, 200))} is no tag: up to 128 letters, digits and . _ -, not starting with . or -`,
  );
}

function readOnly(method: string): RegistryError {
  return new RegistryError(
    `hubcap is a read-only mirror: ${method.slice(0, 20)} is not supported; push to the registry itself`,
    {
      code: 'UNSUPPORTED',
      status: 405,
      headers: { allow: 'GET, HEAD' },
    },
  );
}

function notFound(path: string): RegistryError {
  return new RegistryError(
    `${JSON.stringify(path.slice(0, 200))} is nothing that a registry serves; see /v2/`,
    {
      code: 'NAME_UNKNOWN',
      status: 404,
    },
  );
}
