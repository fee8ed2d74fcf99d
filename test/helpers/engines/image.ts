/** Owns the making of images: single or for several platforms, in Docker's or in OCI's types. */

import type { LayerSpec } from './layer.ts';
import type { Descriptor, Push } from './push.ts';

export type Format = 'docker' | 'oci';

export interface ImageSpec {
  format: Format;
  tag: string;
  layers: readonly LayerSpec[];
  /** Makes an index (a manifest list) with one image each; without it, a single image for amd64. */
  architectures?: readonly string[];
}

/** What one platform runs. */
export interface PlatformImage extends Descriptor {
  architecture: string;
  config: Descriptor;
  layers: readonly (Descriptor & { diffId: string })[];
}

/** What a tag names. */
export interface Image extends Descriptor {
  tag: string;
  /** The bytes of the manifest or index that the tag names. */
  content: Buffer;
  platforms: readonly PlatformImage[];
}

const mediaTypes = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
} as const;

/** Makes an image and pushes it. */
export async function pushImage(push: Push, spec: ImageSpec): Promise<Image> {
  const { tag, format, architectures } = spec;
  if (architectures === undefined) {
    const { content, platform } = await pushPlatform(push, spec, 'amd64', tag);
    const { mediaType, digest, size } = platform;
    return { mediaType, digest, size, tag, content, platforms: [platform] };
  }
  const platforms: PlatformImage[] = [];
  for (const architecture of architectures) {
    platforms.push((await pushPlatform(push, spec, architecture)).platform);
  }
  const manifests = platforms.map(({ mediaType, digest, size, architecture }) => ({
    mediaType,
    digest,
    size,
    platform: { architecture, os: 'linux' },
  }));
  const content = encode({ schemaVersion: 2, mediaType: mediaTypes[format].index, manifests });
  const descriptor = await push.manifest(content, mediaTypes[format].index, tag);
  return { ...descriptor, tag, content, platforms };
}

/** The manifests that a client of `architecture` needs, and no others. */
export function manifestsFor(image: Image, architecture = 'amd64'): string[] {
  return [...new Set([image.digest, platformOf(image, architecture).digest])];
}

/** The blobs that a client of `architecture` needs, with their sizes in bytes. */
export function blobsFor(image: Image, architecture = 'amd64'): Record<string, number> {
  const { config, layers } = platformOf(image, architecture);
  return Object.fromEntries([config, ...layers].map(({ digest, size }) => [digest, size]));
}

/** The image for one platform. Throws where there is none. */
export function platformOf(image: Image, architecture: string): PlatformImage {
  const found = image.platforms.find((platform) => platform.architecture === architecture);
  if (found === undefined) throw new Error('no such platform', { cause: { architecture } });
  return found;
}

async function pushPlatform(
  push: Push,
  { format, layers }: ImageSpec,
  architecture: string,
  tag?: string,
): Promise<{ content: Buffer; platform: PlatformImage }> {
  const types = mediaTypes[format];
  const pushed: (Descriptor & { diffId: string })[] = [];
  for (const { bytes, seed } of layers) {
    pushed.push(await push.layer({ bytes, seed: `${seed}-${architecture}` }, types.layer));
  }
  const diffIds = pushed.map(({ diffId }) => diffId);
  const config = await push.blob(describe(architecture, diffIds), types.config);
  const content = encode({
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers: pushed.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  });
  const descriptor = await push.manifest(content, types.manifest, tag);
  return { content, platform: { ...descriptor, architecture, config, layers: pushed } };
}

/** The image configuration that both Docker and OCI understand. */
function describe(architecture: string, diffIds: readonly string[]): Buffer {
  return encode({
    architecture,
    os: 'linux',
    created: '2021-02-03T04:05:06Z',
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: diffIds.map((_, i) => ({ created: '2021-02-03T04:05:06Z', created_by: `layer ${i}` })),
  });
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document, null, 3));
}
