/** Owns the understanding of an archive: which images it has, of whichever program wrote it. */
import type { ArchivedContent, ArchivedImage, ContentSink } from '../archive-content.ts';
import { ArchiveError } from './archive-error.ts';
import { bundleImages } from './bundle-images.ts';
import { dockerArchiveImages } from './docker-archive.ts';
import { type BundleListener, type Gathered, gather } from './gather.ts';
import { layoutImages } from './layout-images.ts';
import type { ArchiveEntry } from './read-archive.ts';

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

/** Of all images together: memory is bounded, also for an archive that names the same content over and over. */
const MAX_CONTENTS = 1_000_000;

/**
 * Reads an archive in one pass and gives its content to the sink. No image is told that is not whole.
 * @throws ArchiveError where it has no images, is damaged, or lacks what neither it nor the sink has; what `entries`,
 *   `sink` and `onBundle` throw. What the sink took until then stays there
 */
export async function readImages(
  entries: AsyncIterable<ArchiveEntry>,
  sink: ContentSink,
  { onBundle }: ReadOptions = {},
): Promise<ReadImages> {
  const gathered = await gather(entries, sink, onBundle);
  const { kind, images } = await understand(gathered, sink);
  const total = images.reduce((sum, { contents }) => sum + contents.length, 0);
  if (total > MAX_CONTENTS)
    throw new ArchiveError(`the archive's images name ${total} contents, which is more than ${MAX_CONTENTS}`);
  if (images.length === 0) throw new ArchiveError('the archive has no image in it');
  return { images, kind, notes: gathered.notes.lines(), requires: gathered.bundle?.requires ?? [] };
}

async function understand(
  gathered: Gathered,
  sink: ContentSink,
): Promise<Pick<ReadImages, 'kind' | 'images'>> {
  const { bundle, documents } = gathered;
  if (bundle) return { kind: 'bundle', images: await bundleImages(bundle, gathered, sink) };
  // Docker 25 and later write both; the layout has the manifests.
  if (documents.has('index.json')) return { kind: 'oci-layout', images: await layoutImages(gathered, sink) };
  if (documents.has('manifest.json'))
    return { kind: 'docker-archive', images: await dockerArchiveImages(gathered, sink) };
  throw new ArchiveError(
    'the archive has neither an index.json nor a manifest.json: it is no archive of images (docker save, podman save, skopeo copy, hubcap export)',
  );
}
