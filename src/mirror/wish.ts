/** Owns what a client wants of a repository: its names, and what a stranger asks in its place. */
import { blobUnknown, manifestUnknown, nameUnknown, type RegistryError } from '../oci/registry-error.ts';
import type { UpstreamRequestKind } from '../upstream/asker.ts';
import type { Place } from './place.ts';

/** What a client wants of a repository. */
export interface Wish {
  kind: UpstreamRequestKind;
  /** below the repository: `manifests/latest`, `blobs/sha256:…`, `tags/list`, `referrers/sha256:…` */
  path: string;
}

/** @returns the name by which errors speak of it, as they do where the repository is for everybody */
export function wishName({ upstream, repository: name }: Place, { path }: Wish): string {
  const repository = `${upstream.host}/${name}`;
  const [, reference] = path.match(/^(?:manifests|blobs)\/(.+)$/) ?? [];
  if (reference === undefined) return `${repository}/${path}`;
  return `${repository}${reference.includes(':') ? '@' : ':'}${reference}`;
}

/** @returns the error that says that upstream has no such thing */
export function absenceOf(place: Place, wish: Wish): RegistryError {
  const name = wishName(place, wish);
  if (wish.kind === 'manifest') return manifestUnknown(name);
  return wish.kind === 'blob' ? blobUnknown(name) : nameUnknown(name);
}

/** Registries without a referrers API say that it is absent: what has referrers is a manifest, and that is asked for. */
export function strangersQuestion({ kind, path }: Wish): Wish {
  if (kind !== 'referrers') return { kind, path };
  return { kind: 'manifest', path: path.replace(/^referrers\/([^?]+).*$/, 'manifests/$1') };
}
