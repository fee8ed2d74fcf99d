/** Owns what refers to a manifest: signatures, SBOMs, attestations (distribution-spec, "Listing Referrers"). Pure. */
import { type Digest, parseDigest } from './digest.ts';

/** A descriptor in a list of referrers. */
export interface Referrer {
  digest: Digest;
  artifactType: string | undefined;
  /** the whole descriptor, as JSON */
  json: string;
}

/** @returns the descriptor as it came, undefined where it is none */
export function readReferrer(value: unknown): Referrer | undefined {
  if (!isObject(value) || typeof value.digest !== 'string') return undefined;
  const digest = parseDigest(value.digest);
  if (!digest || typeof value.mediaType !== 'string' || !Number.isSafeInteger(value.size)) return undefined;
  return { digest, artifactType: textOf(value.artifactType), json: JSON.stringify(value) };
}

/** @returns the referrers in an index that a client keeps under the tag schema; undefined where it is no index */
export function readReferrers(index: Uint8Array): Referrer[] | undefined {
  const document = parse(index);
  if (!Array.isArray(document?.manifests)) return undefined;
  return document.manifests.map(readReferrer).filter((referrer) => referrer !== undefined);
}

/** Describes a stored manifest as a registry with the API would. */
export function describeReferrer(digest: Digest, mediaType: string, manifest: Uint8Array): Referrer {
  const { artifactType: declared, config, annotations } = parse(manifest) ?? {};
  const artifactType = textOf(declared) ?? (isObject(config) ? textOf(config.mediaType) : undefined);
  const descriptor = {
    mediaType,
    digest,
    size: manifest.byteLength,
    ...(artifactType !== undefined && { artifactType }),
    ...(isObject(annotations) && { annotations }),
  };
  return { digest, artifactType, json: JSON.stringify(descriptor) };
}

/** @returns the tag under which clients keep the referrers of a digest where the API is missing: `sha256-<hex>` */
export function referrersTag(digest: Digest): string {
  // As the specification has it: at most 32 characters before the dash, 64 after it.
  const [algorithm = '', hex = ''] = digest.split(':');
  return `${algorithm}-${hex.slice(0, 64)}`;
}

/** Where cosign keeps what it makes, beside the API and before it. */
const COSIGN_SUFFIXES = ['sig', 'att', 'sbom'];

/** @returns the tags under which cosign keeps signatures, attestations and SBOMs of a digest */
export function cosignTags(digest: Digest): string[] {
  return COSIGN_SUFFIXES.map((suffix) => `${referrersTag(digest)}.${suffix}`);
}

function parse(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'),
    );
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // what is no JSON refers to nothing
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
