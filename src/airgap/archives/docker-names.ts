/** Owns the `manifest.json` that bundles have for `docker load`: of each image one platform. */
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

/** One image of `manifest.json`. */
interface DockerImage {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

/**
 * @returns the document; what is no image that Docker could run is not in it
 * @throws what `source` throws
 */
export async function dockerManifest(
  images: readonly ArchivedImage[],
  source: ContentSource,
): Promise<DockerImage[]> {
  const byConfig = new Map<string, DockerImage>();
  for (const image of images) {
    const carried = new Set(image.contents.map(({ digest }) => digest));
    const manifest = await platformManifest(image.digest, image.mediaType, carried, source);
    const described = manifest && describe(manifest);
    if (!described) continue;
    // Two names of one image are one entry with two tags, as `docker save` writes it.
    const entry = byConfig.get(described.Config) ?? described;
    byConfig.set(described.Config, entry);
    const tag = image.name && repoTag(image.name);
    if (tag !== undefined) entry.RepoTags = [...(entry.RepoTags ?? []), tag];
  }
  return [...byConfig.values()];
}

/** Of an index the platform that Docker's users most likely run, else the first that is carried. */
async function platformManifest(
  digest: Digest,
  mediaType: string,
  carried: ReadonlySet<Digest>,
  source: ContentSource,
): Promise<Manifest | undefined> {
  const manifest = parseManifest(await readSmall(digest, source), mediaType);
  if (!manifest?.isIndex) return manifest;
  const children = manifest.children.filter(
    (child) => carried.has(child.digest) && !isAttestation(child.platform),
  );
  const chosen = defaultPlatformManifest({ ...manifest, children }) ?? children[0];
  return chosen && parseManifest(await readSmall(chosen.digest, source), chosen.mediaType);
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

function describe({ children }: Manifest): DockerImage | undefined {
  const config = children.find(({ role }) => role === 'config');
  const layers = children.filter(({ role }) => role === 'layer');
  const isImage =
    config !== undefined && IMAGE_CONFIGS.has(config.mediaType) && !layers.some(({ foreign }) => foreign);
  if (!isImage) return undefined;
  return {
    Config: blobPath(config.digest),
    RepoTags: null,
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

const IMAGE_CONFIGS: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);

/**
 * The name in full, which Docker shortens by itself: of `alpine:3.20` podman 4.3 makes `localhost/alpine:3.20`, and it reads
 * this document wherever a bundle has more than one image ("more than one image in oci").
 * @returns undefined for a name by digest, which `docker load` refuses as a tag
 */
function repoTag(name: FullImageName): string | undefined {
  return name.reference.kind === 'tag' ? fullNameText(name) : undefined;
}
