/** Owns the names of things in a registry: repository, tag, reference (distribution-spec, "Pulling manifests"). */
import { type Digest, parseDigest } from './digest.ts';

declare const brand: unique symbol;
export type Repository = string & { readonly [brand]: 'repository' };
export type Tag = string & { readonly [brand]: 'tag' };
export type Reference = { kind: 'tag'; tag: Tag } | { kind: 'digest'; digest: Digest };

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
/** Docker and distribution refuse longer names; so does the Hub. */
const MAX_REPOSITORY_LENGTH = 255;

/** @returns the repository path, or undefined where `text` breaks the specification's grammar */
export function parseRepository(text: string): Repository | undefined {
  return text.length <= MAX_REPOSITORY_LENGTH && REPOSITORY.test(text) ? (text as Repository) : undefined;
}

/** @returns the tag, or undefined where `text` breaks the specification's grammar */
export function parseTag(text: string): Tag | undefined {
  return TAG.test(text) ? (text as Tag) : undefined;
}

/** @returns the reference: a digest where there is a colon, else a tag; undefined where it is neither */
export function parseReference(text: string): Reference | undefined {
  if (text.includes(':')) {
    const digest = parseDigest(text);
    return digest && { kind: 'digest', digest };
  }
  const tag = parseTag(text);
  return tag && { kind: 'tag', tag };
}

/** @returns the reference as it stands in a URL */
export function referenceText(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
