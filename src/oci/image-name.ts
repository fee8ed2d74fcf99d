/** Owns the names that clients give images: `alpine`, `docker.io/library/alpine:3.20`, `ghcr.io/o/a@sha256:…`. Pure. */
import { parseDigest } from './digest.ts';
import { parseRepository, parseTag, type Reference, type Repository } from './reference.ts';

export interface ImageName {
  /** the registry, lower case; undefined where the name has none */
  host: string | undefined;
  /** as it is written: without the `library/` that Docker Hub adds */
  repository: Repository;
  reference: Reference;
}

const DEFAULT_TAG = 'latest';
/** A name, an IPv4 address, or an IPv6 address in brackets; with a port or without. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d+)?$/;

/**
 * Reads a name as Docker does: what is before the first slash is a host if it has a dot or a colon, or is `localhost`.
 * A digest decides over a tag beside it.
 * @returns undefined where the text is no such name
 */
export function parseImageName(text: string): ImageName | undefined {
  const slash = text.indexOf('/');
  const first = text.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  const host = isHost ? first.toLowerCase() : undefined;
  const [, path = '', tag = DEFAULT_TAG, hash] =
    /^([^:@]+)(?::([^:@]+))?(?:@(.+))?$/.exec(isHost ? text.slice(slash + 1) : text) ?? [];
  const repository = parseRepository(path);
  const reference = hash === undefined ? tagReference(tag) : digestReference(hash);
  if (host !== undefined && !HOST.test(host)) return undefined;
  return repository && reference && parseTag(tag) && { host, repository, reference };
}

function tagReference(text: string): Reference | undefined {
  const tag = parseTag(text);
  return tag && { kind: 'tag', tag };
}

function digestReference(text: string): Reference | undefined {
  const digest = parseDigest(text);
  return digest && { kind: 'digest', digest };
}
