/** Owns small images that real programs would run: their layers are tars, their digests are right. */
import { gzipSync } from 'node:zlib';
import type { ArchivedContent, ArchivedImage } from '../../../src/airgap/archive-content.ts';
import { END_MARK, fileHead, padding } from '../../../src/airgap/archives/tar-blocks.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import { parseFullName } from '../../../src/oci/image-name.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.ts';
import type { MemoryContent } from './memory-content.ts';

export interface SampleOptions {
  /** what the layers' files say, one layer each */
  layers: readonly string[];
  architecture?: string;
  /** of the layers' blobs */
  algorithm?: 'sha256' | 'sha512';
}

/** One platform of an image, in the place where it was made. */
export interface SampleManifest extends ArchivedContent {
  config: ArchivedContent;
  layers: ArchivedContent[];
  architecture: string;
}

/** @returns a tar with files, as `path: content` */
export function tarOf(files: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts = Object.entries(files).flatMap(([path, content]) => {
    const bytes = Buffer.from(content);
    return [fileHead(path, bytes.length), bytes, padding(bytes.length)];
  });
  return Buffer.concat([...parts, END_MARK]);
}

/** @returns the configuration of an image with these plain layers */
export function configOf(plainLayers: readonly Buffer[], architecture = 'amd64'): Buffer {
  return Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      created: '2021-02-03T04:05:06Z',
      config: { Env: ['PATH=/bin'], Cmd: ['/bin/true'] },
      rootfs: { type: 'layers', diff_ids: plainLayers.map((layer) => digestOf(layer)) },
      history: plainLayers.map((_, at) => ({ created: '2021-02-03T04:05:06Z', created_by: `layer ${at}` })),
    }),
  );
}

/** Makes one platform's manifest with all that it names. */
export function addManifest(
  content: MemoryContent,
  { layers, architecture = 'amd64', algorithm = 'sha256' }: SampleOptions,
): SampleManifest {
  const plain = layers.map((text, at) => tarOf({ [`file-${at}`]: text }));
  const config: ArchivedContent = { ...content.add(configOf(plain, architecture)), kind: 'blob' };
  const blobs = plain.map(
    (layer): ArchivedContent => ({ ...content.add(gzipSync(layer), algorithm), kind: 'blob' }),
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: config.digest,
      size: config.size,
    },
    layers: blobs.map(({ digest, size }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest,
      size,
    })),
  };
  return { ...content.add(JSON.stringify(manifest)), kind: 'manifest', config, layers: blobs, architecture };
}

/** @returns an image without an index */
export function singleImage(
  content: MemoryContent,
  name: string | undefined,
  options: SampleOptions,
): ArchivedImage {
  const manifest = addManifest(content, options);
  return {
    name: name === undefined ? undefined : parseFullName(name),
    digest: manifest.digest,
    mediaType: OCI_MANIFEST,
    platforms: [],
    contents: distinct(contentsOf(manifest)),
    referrers: [],
    isMade: false,
  };
}

/** @returns a signature of an image, as cosign keeps it under a tag: an image, but for its layer's type */
export function signatureOf(content: MemoryContent, signed: ArchivedImage): ArchivedImage {
  const payload = content.add(`{"critical":{"image":{"docker-manifest-digest":"${signed.digest}"}}}`);
  const config = content.add(
    JSON.stringify({
      architecture: '',
      os: '',
      config: {},
      rootfs: { type: 'layers', diff_ids: [payload.digest] },
    }),
  );
  const manifest = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [{ mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json', ...payload }],
    }),
  );
  return {
    name:
      signed.name &&
      parseFullName(`${signed.name.host}/${signed.name.repository}:${signed.digest.replace(':', '-')}.sig`),
    digest: manifest.digest,
    mediaType: OCI_MANIFEST,
    platforms: [],
    contents: [
      { ...manifest, kind: 'manifest' },
      { ...config, kind: 'blob' },
      { ...payload, kind: 'blob' },
    ],
    referrers: [],
    isMade: false,
  };
}

/**
 * @param carried the architectures that are carried, of those that the index has
 * @returns an image with an index, of which `content` has what is carried alone
 */
export function indexImage(
  content: MemoryContent,
  name: string | undefined,
  {
    layers,
    architectures,
    carried,
  }: { layers: readonly string[]; architectures: readonly string[]; carried: readonly string[] },
): ArchivedImage {
  const before = new Set(content.kept.keys());
  const manifests = architectures.map((architecture) => addManifest(content, { layers, architecture }));
  const chosen = manifests.filter(({ architecture }) => carried.includes(architecture));
  const needed = new Set(chosen.flatMap(contentsOf).map(({ digest }) => digest));
  for (const digest of [...content.kept.keys()])
    if (!before.has(digest) && !needed.has(digest)) content.kept.delete(digest);
  const index = content.add(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: manifests.map(({ digest, size, architecture }) => ({
        mediaType: OCI_MANIFEST,
        digest,
        size,
        platform: { architecture, os: 'linux' },
      })),
    }),
  );
  return {
    name: name === undefined ? undefined : parseFullName(name),
    digest: index.digest,
    mediaType: OCI_INDEX,
    platforms: carried.map((architecture) => `linux/${architecture}`),
    contents: distinct([{ ...index, kind: 'manifest' }, ...chosen.flatMap(contentsOf)]),
    referrers: [],
    isMade: false,
  };
}

function contentsOf({ config, layers, digest, size, kind }: SampleManifest): ArchivedContent[] {
  return [{ digest, size, kind }, config, ...layers];
}

function distinct(contents: readonly ArchivedContent[]): ArchivedContent[] {
  const seen = new Set<Digest>();
  return contents.filter(({ digest }) => !seen.has(digest) && seen.add(digest));
}
