/** Owns what an answer says of itself, and whether that is what a registry says. Pure. */
import { type Digest, parseDigest } from '../oci/digest.ts';
import { bareType, MANIFEST_ACCEPT } from '../oci/media-types.ts';
import { contentSize } from './redirects.ts';
import type { Answer } from './transport.ts';

export interface ManifestHead {
  /** what upstream says, undefined where it does not or says nonsense */
  digest: Digest | undefined;
  mediaType: string | undefined;
  /** bytes */
  size: number | undefined;
}

/** Pages that stand in the place of content are no larger. */
export const MAX_HTML_BYTES = 1024 * 1024;

/** By HEAD there are no bytes to tell: one that is believed has a manifest's type, or names its digest. */
export function isHeadOfManifest(answer: Answer): boolean {
  const { digest, mediaType } = headOf(answer);
  return digest !== undefined || (mediaType !== undefined && MANIFEST_ACCEPT.split(', ').includes(mediaType));
}

/** @returns whether it calls itself a page for people */
export function isHtml(answer: Answer): boolean {
  return bareType(answer.header('content-type') ?? '') === 'text/html';
}

/** What login pages and error pages are: all of it, and small. */
export function isPage(answer: Answer): boolean {
  const size = answer.status === 200 ? contentSize(answer) : undefined;
  return isHtml(answer) && size !== undefined && size <= MAX_HTML_BYTES;
}

/** What a login page in place of a list is not. */
export function isDocument(body: Buffer): boolean {
  try {
    const document: unknown = JSON.parse(body.toString('utf8'));
    return typeof document === 'object' && document !== null;
  } catch {
    return false; // what is no JSON is no list
  }
}

/** @returns what the head of an answer says of a manifest */
export function headOf(answer: Answer): ManifestHead {
  const digest = answer.header('docker-content-digest');
  const type = answer.header('content-type');
  return {
    digest: digest === undefined ? undefined : parseDigest(digest.trim()),
    mediaType: type === undefined ? undefined : bareType(type),
    size: contentSize(answer),
  };
}
