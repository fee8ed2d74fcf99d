/** Owns the reading of manifests: what they are and which content they name. Never changes one. */
import { type Digest, parseDigest } from './digest.ts';
import {
  bareType,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexType,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts';
import type { Platform } from './platform.ts';

/** What a manifest names: image-spec, "Content Descriptors". */
export interface Descriptor {
  role: 'manifest' | 'config' | 'layer' | 'subject';
  mediaType: string;
  digest: Digest;
  /** bytes */
  size: number;
  platform?: Platform;
  /** carries `urls` or a non-distributable type: the registry need not hold it, hubcap never follows `urls` */
  foreign: boolean;
}

export interface Manifest {
  mediaType: string;
  isIndex: boolean;
  /** what a full pull of this manifest needs, in order; the subject, if any, is not part of it */
  children: Descriptor[];
  subject?: Descriptor;
}

/** Clients refuse larger manifests (containerd: 4 MiB; distribution: 4 MiB). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

const KNOWN_TYPES: ReadonlySet<string> = new Set([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST]);

/**
 * Reads a manifest's bytes.
 * @param contentType the `Content-Type` it came with; the document's own `mediaType` decides where both are known
 * @returns the manifest, or undefined where the bytes are no manifest (HTML with status 200, say)
 */
export function parseManifest(body: Uint8Array, contentType: string | undefined): Manifest | undefined {
  const document = parseJsonObject(body);
  if (!document) return undefined;
  const mediaType = manifestType(document, contentType);
  if (!mediaType) return undefined;
  const isIndex = isIndexType(mediaType);
  const children = isIndex
    ? readDescriptors(document.manifests, 'manifest')
    : [...readDescriptors([document.config], 'config'), ...readDescriptors(document.layers, 'layer')];
  const [subject] = readDescriptors([document.subject], 'subject');
  return { mediaType, isIndex, children, ...(subject && { subject }) };
}

/**
 * What the Hub gives by tag to a client that knows no index types: the linux/amd64 manifest.
 * @returns its descriptor, or undefined where the index has none
 */
export function defaultPlatformManifest(index: Manifest): Descriptor | undefined {
  return index.children.find(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64');
}

function parseJsonObject(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'),
    );
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // not JSON is "no manifest", the caller says so with the URL
  }
}

function manifestType(
  document: Record<string, unknown>,
  contentType: string | undefined,
): string | undefined {
  const declared = typeof document.mediaType === 'string' ? document.mediaType : undefined;
  if (declared && KNOWN_TYPES.has(declared)) return declared;
  const sent = contentType === undefined ? undefined : bareType(contentType);
  if (sent && KNOWN_TYPES.has(sent)) return sent;
  if (document.schemaVersion === 1) return 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  if (document.schemaVersion !== 2) return undefined;
  if (Array.isArray(document.manifests)) return OCI_INDEX;
  return Array.isArray(document.layers) ? OCI_MANIFEST : undefined;
}

function readDescriptors(list: unknown, role: Descriptor['role']): Descriptor[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => readDescriptor(entry, role) ?? []);
}

function readDescriptor(entry: unknown, role: Descriptor['role']): Descriptor | undefined {
  if (!isObject(entry) || typeof entry.digest !== 'string') return undefined;
  const digest = parseDigest(entry.digest);
  if (!digest || typeof entry.size !== 'number' || !Number.isSafeInteger(entry.size) || entry.size < 0)
    return undefined;
  const mediaType = typeof entry.mediaType === 'string' ? entry.mediaType : '';
  const foreign =
    (Array.isArray(entry.urls) && entry.urls.length > 0) || /nondistributable|foreign/.test(mediaType);
  const platform = readPlatform(entry.platform);
  return { role, mediaType, digest, size: entry.size, foreign, ...(platform && { platform }) };
}

function readPlatform(value: unknown): Platform | undefined {
  if (!isObject(value) || typeof value.os !== 'string' || typeof value.architecture !== 'string')
    return undefined;
  return {
    os: value.os,
    architecture: value.architecture,
    ...(typeof value.variant === 'string' && { variant: value.variant }),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
