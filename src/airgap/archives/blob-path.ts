/** Owns where an OCI image layout keeps content (image-spec, "Image Layout"). Pure. */
import { algorithmOf, type Digest, hexOf, parseDigest } from '../../oci/digest.ts';

/** @returns `blobs/sha256/<hex>` */
export function blobPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/** @returns the digest that content under this path must have; undefined where it is no such path */
export function digestOfPath(path: string): Digest | undefined {
  const [, algorithm, hex] = /^blobs\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  return algorithm === undefined ? undefined : parseDigest(`${algorithm}:${hex}`);
}
