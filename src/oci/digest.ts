/** Owns what a content digest is: `sha256:<64 hex>` or `sha512:<128 hex>`, nothing else. */
import { createHash, type Hash } from 'node:crypto';

declare const brand: unique symbol;
/** A digest in canonical form; its text is safe as a path component and a URL path segment. */
export type Digest = string & { readonly [brand]: 'digest' };
export type DigestAlgorithm = 'sha256' | 'sha512';

const PATTERN = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/**
 * Parses a digest, OCI image-spec "Digests". Only registered algorithms, only lower-case hex.
 * @returns the digest, or undefined where the text is none
 */
export function parseDigest(text: string): Digest | undefined {
  return PATTERN.test(text) ? (text as Digest) : undefined;
}

/** @returns the part before the colon */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

/** @returns the part after the colon */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** Starts a hash that can prove `digest`. */
export function hashFor(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}

/** @returns the digest that a finished hash of `algorithm` stands for */
export function digestOfHash(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}

/** @returns the digest of `bytes`, sha256 unless told */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return digestOfHash(algorithm, createHash(algorithm).update(bytes));
}
