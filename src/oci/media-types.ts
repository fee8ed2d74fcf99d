/** Owns the media types that registries and clients exchange. */

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
export const OCTET_STREAM = 'application/octet-stream';

/** Upstream is always asked with all of these: fewer make the Hub convert (facts, "Accept"). */
export const MANIFEST_ACCEPT = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(', ');

const INDEX_TYPES: ReadonlySet<string> = new Set([OCI_INDEX, DOCKER_LIST]);

/** @returns whether the type is that of a multi-platform index */
export function isIndexType(mediaType: string): boolean {
  return INDEX_TYPES.has(mediaType);
}

/** @returns the type without parameters, lower case: `Application/JSON; charset=utf-8` → `application/json` */
export function bareType(header: string): string {
  const semicolon = header.indexOf(';');
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}

/**
 * Whether a client's `Accept` names a multi-platform index type. Wildcards do not count, as at the Hub:
 * a client that only says that it takes anything gets a single manifest.
 */
export function acceptsIndex(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  return accept.split(',').some((part) => isIndexType(bareType(part)));
}
