/** Owns the names that clients give images: `alpine`, `docker.io/library/alpine:3.20`, `ghcr.io/o/a@sha256:…`. Pure. */
import { parseDigest } from './digest.ts';
import { parseRepository, parseTag, type Reference, type Repository, referenceText } from './reference.ts';

export interface ImageName {
  /** the registry, lower case; undefined where the name has none */
  host: string | undefined;
  /** as it is written: without the `library/` that Docker Hub adds */
  repository: Repository;
  reference: Reference;
}

/** An image as it is named in full. */
export interface FullImageName {
  /** the registry, as clients name it */
  host: string;
  repository: Repository;
  reference: Reference;
}

const DEFAULT_TAG = 'latest';
const DOCKER_HUB = 'docker.io';
/** Names that Docker itself takes for the Hub's. */
const HUB_HOSTS: ReadonlySet<string> = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io']);
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

/**
 * Reads a name and completes it as Docker does: `alpine` is `docker.io/library/alpine:latest`.
 * @returns undefined where the text is no name of an image
 */
export function parseFullName(text: string): FullImageName | undefined {
  const name = parseImageName(text);
  if (!name) return undefined;
  const { host = DOCKER_HUB, repository, reference } = name;
  if (!HUB_HOSTS.has(host)) return { host, repository, reference };
  const path = repository.includes('/') ? repository : parseRepository(`library/${repository}`);
  return path && { host: DOCKER_HUB, repository: path, reference };
}

/** @returns `docker.io/library/alpine:latest`, `ghcr.io/owner/app@sha256:…` */
export function fullNameText({ host, repository, reference }: FullImageName): string {
  return `${host}/${repository}${reference.kind === 'tag' ? ':' : '@'}${referenceText(reference)}`;
}

function tagReference(text: string): Reference | undefined {
  const tag = parseTag(text);
  return tag && { kind: 'tag', tag };
}

function digestReference(text: string): Reference | undefined {
  const digest = parseDigest(text);
  return digest && { kind: 'digest', digest };
}
