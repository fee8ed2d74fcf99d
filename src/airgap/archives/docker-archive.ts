/** Owns the images of archives without manifests: `docker save` before 25, `podman save`, `skopeo copy docker-archive:`. */
import { z } from 'zod';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { type FullImageName, parseFullName } from '../../oci/image-name.ts';
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts';
import { OCI_MANIFEST } from '../../oci/media-types.ts';
import type { ArchivedContent, ArchivedImage, ContentSink } from '../archive-content.ts';
import { ArchiveError, printable } from './archive-error.ts';
import type { Compression } from './decompress.ts';
import { entryPath } from './entry-path.ts';
import type { Gathered, GatheredFile } from './gather.ts';
import { parseDocument } from './json-document.ts';
import type { Notes } from './notes.ts';
import type { WalkLimit } from './walk-limit.ts';

const MANIFEST = 'manifest.json';
/** `<hex>/layer.tar` leads to another layer, which leads to a third where all three are the same. */
const MAX_LINKS = 8;

const FORM = z.array(
  z.object({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()).nullish(),
  }),
);
type DockerImage = z.infer<typeof FORM>[number];

const CONFIG_FORM = z.object({ rootfs: z.object({ diff_ids: z.array(z.string()).nullish() }) });

const LAYER_TYPES: Readonly<Record<Compression, string>> = {
  none: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
};

/** @returns the names that `manifest.json` has for images, by the digest of their configuration */
export function repoTagsByConfig(gathered: Gathered): Map<Digest, FullImageName[]> {
  const names = new Map<Digest, FullImageName[]>();
  for (const image of readDockerManifest(gathered)) {
    const file = gathered.files.get(entryPath(image.Config));
    if (file) names.set(file.digest, [...(names.get(file.digest) ?? []), ...namesOf(image, gathered.notes)]);
  }
  return names;
}

/**
 * Makes the manifests that the archive does not have: OCI's, always the same for the same image.
 * @returns an image for each name; without a name where the archive has none
 * @throws ArchiveError where what `manifest.json` names is not there, or is not what the configuration says,
 *   or they name too much; what the sink throws
 */
export async function dockerArchiveImages(
  gathered: Gathered,
  sink: ContentSink,
  limit: WalkLimit,
): Promise<ArchivedImage[]> {
  const images: ArchivedImage[] = [];
  for (const described of readDockerManifest(gathered)) {
    const contents = await makeManifest(described, gathered, sink, limit);
    const names = namesOf(described, gathered.notes);
    for (const name of names.length > 0 ? names : [undefined])
      images.push({
        name,
        digest: contents[0].digest,
        mediaType: OCI_MANIFEST,
        platforms: [],
        contents,
        referrers: [],
        isMade: true,
      });
  }
  return images;
}

function readDockerManifest({ documents }: Gathered): DockerImage[] {
  const body = documents.get(MANIFEST);
  return body ? parseDocument(MANIFEST, body, FORM) : [];
}

function namesOf({ RepoTags }: DockerImage, notes: Notes): FullImageName[] {
  return (RepoTags ?? []).flatMap((tag) => {
    const name = parseFullName(tag);
    if (!name) notes.add(`${MANIFEST}: "${printable(tag)}" is no name of an image; it was left out`);
    return name ?? [];
  });
}

async function makeManifest(
  { Config, Layers }: DockerImage,
  gathered: Gathered,
  sink: ContentSink,
  limit: WalkLimit,
): Promise<[ArchivedContent, ...ArchivedContent[]]> {
  const config = find(Config, gathered);
  expectNamedRight(Config, config);
  limit.spend((Layers ?? []).length);
  limit.read(config.size);
  const layers = (Layers ?? []).map((path) => ({ path, ...find(path, gathered) }));
  expectLayers(Config, await readDiffIds(Config, config, sink), layers);
  const body = encodeManifest(config, layers);
  const manifest: ArchivedContent = { digest: digestOf(body), size: body.length, kind: 'manifest' };
  if (sink.sizeOf(manifest.digest) === undefined) await sink.put(manifest.digest, body.length, once(body));
  const blobs = [config, ...layers].map(
    ({ digest, size }): ArchivedContent => ({ digest, size, kind: 'blob' }),
  );
  return [manifest, ...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

function find(named: string, { files, links }: Gathered): GatheredFile {
  let path = entryPath(named);
  for (let followed = 0; followed < MAX_LINKS; followed += 1) {
    const target = links.get(path);
    if (target === undefined) break;
    path = target;
  }
  const file = files.get(path);
  if (!file) throw new ArchiveError(`names ${printable(named)}, which the archive does not have`, MANIFEST);
  return file;
}

/** Docker, podman and skopeo call it `<hex>.json`, crane `sha256:<hex>`, and Docker 25 `blobs/sha256/<hex>`, which is proven. */
function expectNamedRight(path: string, { digest }: GatheredFile): void {
  const [, hex] = /^(?:sha256:)?([0-9a-f]{64})(?:\.json)?$/.exec(path) ?? [];
  if (hex !== undefined && digest !== `sha256:${hex}`)
    throw new ArchiveError(`its content is ${digest}: it is damaged or forged`, path);
}

async function readDiffIds(path: string, { digest }: GatheredFile, sink: ContentSink): Promise<string[]> {
  const body = await sink.read(digest, MAX_MANIFEST_BYTES);
  if (!body)
    throw new ArchiveError(`is larger than ${MAX_MANIFEST_BYTES} bytes, which no configuration is`, path);
  return parseDocument(path, body, CONFIG_FORM).rootfs.diff_ids ?? [];
}

function expectLayers(
  config: string,
  diffIds: readonly string[],
  layers: readonly (GatheredFile & { path: string })[],
): void {
  if (layers.length !== diffIds.length)
    throw new ArchiveError(`names ${diffIds.length} layers, and ${MANIFEST} names ${layers.length}`, config);
  for (const [position, { path, digest, compression }] of layers.entries()) {
    // What a compressed layer unpacks to is proven by who unpacks it; here it is carried as it is.
    if (compression === 'none' && digest !== diffIds[position])
      throw new ArchiveError(
        `is the wrong layer: it is ${digest}, and ${config} wants ${printable(diffIds[position] ?? 'none')}`,
        path,
      );
  }
}

/** The order of the keys is part of the manifest's digest: it never changes. */
function encodeManifest(config: GatheredFile, layers: readonly GatheredFile[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: config.digest,
        size: config.size,
      },
      layers: layers.map(({ digest, size, compression }) => ({
        mediaType: LAYER_TYPES[compression],
        digest,
        size,
      })),
    }),
  );
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
