/** Owns the URLs of an endpoint: where its address ends and the names of its repositories begin. Pure. */
import type { Repository } from '../oci/reference.ts';

/**
 * `https://registry.example/base` has its API at `/base/v2/`. In `https://harbor.example/v2/hub` the rest is the
 * beginning of each repository's name: Harbor's proxy projects and other mirrors keep a registry below a name.
 */
function parts(address: URL): { base: string; beginning: string } {
  const path = address.pathname.replace(/\/$/, '');
  const [, base, beginning] = path.match(/^(.*?\/v2\/)(.+)$/) ?? [];
  if (base === undefined || beginning === undefined) return { base: `${path}/v2/`, beginning: '' };
  return { base, beginning: `${beginning}/` };
}

/** @returns the address of the API itself, which answers whether it is there (distribution-spec, "Determining Support") */
export function baseUrl(address: URL): URL {
  return new URL(parts(address).base, address);
}

/** @returns the name by which the endpoint knows a repository, in URLs and in the scopes of tokens */
export function nameAt(address: URL, repository: Repository): string {
  return parts(address).beginning + repository;
}

/** @param path below the repository, with its query */
export function questionUrl(address: URL, repository: Repository, path: string): URL {
  return new URL(`${parts(address).base}${nameAt(address, repository)}/${path}`, address);
}
