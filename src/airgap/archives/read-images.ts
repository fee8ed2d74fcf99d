/** Owns the understanding of an archive: which images it has, of whichever program wrote it. */
import type { ArchivedContent, ArchivedImage, ContentSink } from '../archive-content.ts';
import { ArchiveError } from './archive-error.ts';
import { bundleImages } from './bundle-images.ts';
import { dockerArchiveImages } from './docker-archive.ts';
import { type BundleListener, type Gathered, gather } from './gather.ts';
import { layoutImages } from './layout-images.ts';
import type { ArchiveEntry } from './read-archive.ts';
import { WalkLimit } from './walk-limit.ts';

export type ArchiveKind = 'bundle' | 'oci-layout' | 'docker-archive';

export interface ReadImages {
  images: ArchivedImage[];
  kind: ArchiveKind;
  /** what whoever imports should know: what was left out, and why */
  notes: string[];
  /** what earlier bundles carried, where it is a bundle that needs them */
  requires: ArchivedContent[];
}

export interface ReadOptions {
  /** is told what a bundle says about itself before its content comes; what it throws ends the reading */
  onBundle?: BundleListener;
}

/**
 * Reads an archive in one pass and gives its content to the sink. No image is told that is not whole.
 * @throws ArchiveError where it has no images, is damaged, or lacks what neither it nor the sink has, or names
 *   too much; what `entries`,
 *   `sink` and `onBundle` throw. What the sink took until then stays there
 */
export async function readImages(
  entries: AsyncIterable<ArchiveEntry>,
  sink: ContentSink,
  { onBundle }: ReadOptions = {},
): Promise<ReadImages> {
  const gathered = await gather(entries, sink, onBundle);
  const { kind, images } = await understand(gathered, sink);
  // Images may share what they name: whoever goes through all of it has a bound, too.
  const limit = new WalkLimit();
  for (const { contents } of images) limit.spend(contents.length);
  noteUnused(gathered, images);
  if (images.length === 0) throw new ArchiveError('the archive has no image in it');
  return { images, kind, notes: gathered.notes.lines(), requires: gathered.bundle?.requires ?? [] };
}

async function understand(
  gathered: Gathered,
  sink: ContentSink,
): Promise<Pick<ReadImages, 'kind' | 'images'>> {
  const { bundle, documents } = gathered;
  const limit = new WalkLimit();
  if (bundle) return { kind: 'bundle', images: await bundleImages(bundle, gathered, sink, limit) };
  // Docker 25 and later write both; the layout has the manifests.
  if (documents.has('index.json'))
    return { kind: 'oci-layout', images: await layoutImages(gathered, sink, limit) };
  if (documents.has('manifest.json'))
    return { kind: 'docker-archive', images: await dockerArchiveImages(gathered, sink, limit) };
  throw new ArchiveError(
    'the archive has neither an index.json nor a manifest.json: it is no archive of images (docker save, podman save, skopeo copy, hubcap export)',
  );
}

/** What is called like a layer or a configuration and was taken for one; blobs of other kinds lie in many layouts. */
function noteUnused({ files, notes }: Gathered, images: readonly ArchivedImage[]): void {
  const used = new Set(images.flatMap(({ contents }) => contents.map(({ digest }) => digest)));
  for (const [path, { digest, size }] of files)
    if (!path.startsWith('blobs/') && !used.has(digest)) notes.addLeftOut(path, size);
}
