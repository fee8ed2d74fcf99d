/** Owns content that tests push to their upstreams: the same bytes in every run, with their digests. */
import { createCipheriv, createHash } from 'node:crypto';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';

export interface Content {
  digest: Digest;
  body: Buffer;
}

export interface TypedContent extends Content {
  mediaType: string;
}

export interface Image {
  manifest: TypedContent;
  config: Content;
  layers: Content[];
}

export interface Index {
  manifest: TypedContent;
  images: Image[];
}

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Bytes that look random and depend on `seed` alone. */
export function blobOf(bytes: number, seed: string): Content {
  const key = createHash('sha256').update(seed).digest();
  const body = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
  return { digest: digestOf(body), body };
}

/** An image for linux/amd64 with layers of the given sizes. */
export function imageOf(seed: string, layerBytes: readonly number[], mediaType = OCI_MANIFEST): Image {
  const layers = layerBytes.map((bytes, position) => blobOf(bytes, `${seed}/${position}`));
  return imageWith(seed, layers, mediaType);
}

/** An image for linux/amd64 with layers that others may have, too. */
export function imageWith(seed: string, layers: Content[], mediaType = OCI_MANIFEST): Image {
  const config = jsonContent({ architecture: 'amd64', os: 'linux', seed });
  const isDocker = mediaType === DOCKER_MANIFEST;
  const configType = isDocker
    ? 'application/vnd.docker.container.image.v1+json'
    : 'application/vnd.oci.image.config.v1+json';
  const layerType = isDocker
    ? 'application/vnd.docker.image.rootfs.diff.tar.gzip'
    : 'application/vnd.oci.image.layer.v1.tar+gzip';
  const describe = (type: string, { digest, body }: Content) => ({
    mediaType: type,
    digest,
    size: body.length,
  });
  const manifest = jsonContent({
    schemaVersion: 2,
    mediaType,
    config: describe(configType, config),
    layers: layers.map((layer) => describe(layerType, layer)),
  });
  return { manifest: { ...manifest, mediaType }, config, layers };
}

/** An index over images, one per architecture. */
export function indexOf(images: Readonly<Record<string, Image>>, isDocker = false): Index {
  const mediaType = isDocker ? DOCKER_LIST : OCI_INDEX;
  const manifest = jsonContent({
    schemaVersion: 2,
    mediaType,
    manifests: Object.entries(images).map(([architecture, { manifest }]) => ({
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.body.length,
      platform: { architecture, os: 'linux' },
    })),
    annotations: { 'spaces and order': 'are kept' },
  });
  return { manifest: { ...manifest, mediaType }, images: Object.values(images) };
}

/** Odd spacing on purpose: who parses and prints it again gets another digest. */
function jsonContent(document: unknown): Content {
  const body = Buffer.from(`${JSON.stringify(document, undefined, 3)}\n\n`);
  return { digest: digestOf(body), body };
}
