/** Owns naming what is asked for: keys for what is remembered, names for what is said. */
import { type Reference, type Repository, referenceText } from '../oci/reference.ts';
import type { RepositoryName } from '../store/catalog.ts';
import type { MirroredUpstream } from './mirrored-upstream.ts';

/** A repository of an upstream, as a request names it. */
export interface Place {
  upstream: MirroredUpstream;
  repository: Repository;
}

/** @returns a key that no other upstream's repository of the same name shares */
export function keyOf({ upstream, repository }: Place, reference: string): string {
  return `${upstream.host}/${repository}@${reference}`;
}

/** @returns the full reference: `docker.io/library/alpine:latest` */
export function nameOf({ upstream, repository }: Place, reference: Reference): string {
  return `${upstream.host}/${repository}${reference.kind === 'tag' ? ':' : '@'}${referenceText(reference)}`;
}

/** @returns the repository as the catalog names it */
export function repositoryOf({ upstream, repository }: Place): RepositoryName {
  return { upstream: upstream.host, name: repository };
}
