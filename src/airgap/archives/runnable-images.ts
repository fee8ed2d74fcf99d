/** Owns which images of a bundle container engines can run, and the `manifest.json` that says so to `docker load`. */
import type { Digest } from '../../oci/digest.ts';
import { type FullImageName, fullNameText } from '../../oci/image-name.ts';
import {
  defaultPlatformManifest,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
} from '../../oci/manifest.ts';
import type { ArchivedImage, ContentSource } from '../archive-content.ts';
import { blobPath } from './blob-path.ts';
import { isAttestation } from './platform-names.ts';

/** An image, with what one platform of it runs. */
export interface RunnableImage {
  image: ArchivedImage;
  manifest: Manifest;
}

/** One image of `manifest.json`. */
interface DockerImage {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

const MAX_DEPTH = 4;
const IMAGE_CONFIGS: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);
/** Cosign writes signatures as images, with the type of an image's configuration: the layers tell them apart. */
const IMAGE_LAYER = /^application\/vnd\.(?:oci\.image\.layer\.|docker\.image\.rootfs\.)/;

/**
 * @returns the images that are no signatures, charts or other artifacts; of each, what Docker's users most likely run
 * @throws what `source` throws
 */
export async function runnableImages(
  images: readonly ArchivedImage[],
  source: ContentSource,
): Promise<RunnableImage[]> {
  const runnable: RunnableImage[] = [];
  for (const image of images) {
    const carried = new Set(image.contents.map(({ digest }) => digest));
    const manifest = await platformManifest(image, carried, source);
    if (manifest && isImage(manifest)) runnable.push({ image, manifest });
  }
  return runnable;
}

/** @returns the document for `docker load`: of each image one platform */
export function dockerManifest(runnable: readonly RunnableImage[]): DockerImage[] {
  const byConfig = new Map<string, DockerImage>();
  for (const { image, manifest } of runnable) {
    const described = describe(manifest);
    if (!described) continue;
    // Two names of one image are one entry with two tags, as `docker save` writes it.
    const entry = byConfig.get(described.Config) ?? described;
    byConfig.set(described.Config, entry);
    const tag = image.name && repoTag(image.name);
    if (tag !== undefined) entry.RepoTags = [...(entry.RepoTags ?? []), tag];
  }
  return [...byConfig.values()];
}

/** Of an index linux/amd64, else the first that is carried. */
async function platformManifest(
  { digest, mediaType }: { digest: Digest; mediaType: string },
  carried: ReadonlySet<Digest>,
  source: ContentSource,
  depth = 1,
): Promise<Manifest | undefined> {
  const manifest = parseManifest(await readSmall(digest, source), mediaType);
  if (!manifest?.isIndex || depth === MAX_DEPTH) return manifest;
  const children = manifest.children.filter(
    (child) => carried.has(child.digest) && !isAttestation(child.platform),
  );
  const chosen = defaultPlatformManifest({ ...manifest, children }) ?? children[0];
  return chosen && platformManifest(chosen, carried, source, depth + 1);
}

async function readSmall(digest: Digest, source: ContentSource): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source.open(digest)) {
    size += chunk.length;
    if (size > MAX_MANIFEST_BYTES) throw new Error(`${digest} is larger than a manifest may be`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isImage({ children }: Manifest): boolean {
  const config = children.find(({ role }) => role === 'config');
  const layers = children.filter(({ role }) => role === 'layer');
  return (
    config !== undefined &&
    IMAGE_CONFIGS.has(config.mediaType) &&
    layers.every(({ mediaType }) => IMAGE_LAYER.test(mediaType))
  );
}

function describe({ children }: Manifest): DockerImage | undefined {
  const config = children.find(({ role }) => role === 'config');
  const layers = children.filter(({ role }) => role === 'layer');
  // A foreign layer is not in the bundle, and Docker wants all of them.
  if (!config || layers.some(({ foreign }) => foreign)) return undefined;
  return {
    Config: blobPath(config.digest),
    RepoTags: null,
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

/**
 * The name in full, which Docker shortens by itself: of `alpine:3.20` podman 4.3 makes `localhost/alpine:3.20`, and it reads
 * this document wherever a bundle has more than one image ("more than one image in oci").
 * @returns undefined for a name by digest, which `docker load` refuses as a tag
 */
function repoTag(name: FullImageName): string | undefined {
  return name.reference.kind === 'tag' ? fullNameText(name) : undefined;
}
