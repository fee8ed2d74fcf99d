/** Owns the images of a bundle of ours: what `hubcap.json` says, where it is so. */
import type { Digest } from '../../oci/digest.ts';
import { fullNameText } from '../../oci/image-name.ts';
import { OCI_MANIFEST } from '../../oci/media-types.ts';
import type { ArchivedImage, ContentSink } from '../archive-content.ts';
import { ClosureWalker, lacking, type ManifestNamed } from './archive-closure.ts';
import { ArchiveError } from './archive-error.ts';
import { attachReferrers, type FoundImage } from './attach-referrers.ts';
import { BUNDLE_INDEX, type BundledImage, type BundleIndex } from './bundle-index.ts';
import type { Gathered } from './gather.ts';
import { describeImage } from './image-text.ts';
import { expectWhole, type LayoutDescriptor, readLayoutIndex, toImage } from './layout-images.ts';
import type { WalkLimit } from './walk-limit.ts';

/**
 * @returns the images that the bundle announces, all of them whole, with their referrers
 * @throws ArchiveError where it is not as announced, or its base is missing; what the sink throws
 */
export async function bundleImages(
  bundle: BundleIndex,
  gathered: Gathered,
  sink: ContentSink,
  limit: WalkLimit,
): Promise<ArchivedImage[]> {
  expectBytes(bundle, gathered);
  expectBase(bundle, sink);
  const descriptors = matchLayout(bundle, readLayoutIndex(gathered), sink);
  const found: (FoundImage & { announced: BundledImage })[] = [];
  for (const { announced, descriptor } of descriptors) {
    const platforms = announced.platforms.length > 0 ? announced.platforms : undefined;
    const walker = new ClosureWalker(sink, limit, platforms);
    found.push({ name: announced.name, descriptor, announced, closure: await walker.walk(descriptor) });
  }
  expectWhole(found);
  const images: ArchivedImage[] = [];
  for (const each of found) {
    const image = toImage(each, gathered.notes, each.announced.isMade);
    expectPlatforms(each.announced, image, each);
    await addReferrers(image, each, sink, limit);
    images.push(image);
  }
  return images;
}

/**
 * Looks whether earlier bundles have brought what this one needs; can be asked before its content comes.
 * @throws ArchiveError that lists what is missing
 */
export function expectBase({ requires }: BundleIndex, sink: Pick<ContentSink, 'sizeOf'>): void {
  const missing = requires.filter(({ digest }) => sink.sizeOf(digest) === undefined);
  if (missing.length > 0) throw lacking(['the bundle'], missing);
}

function expectBytes({ totalBytes }: BundleIndex, { files }: Gathered): void {
  const carried = [...files.values()].reduce((sum, { size }) => sum + size, 0);
  if (carried !== totalBytes)
    throw new ArchiveError(
      `announces ${totalBytes} bytes of content, and the archive has ${carried}`,
      BUNDLE_INDEX,
    );
}

/** Other programs read `index.json`: it lists the same images, but for those that are none for them, such as signatures. */
function matchLayout(
  { images }: BundleIndex,
  descriptors: readonly LayoutDescriptor[],
  sink: ContentSink,
): { announced: BundledImage; descriptor: ManifestNamed }[] {
  const keyOf = ({ name, digest }: { name: BundledImage['name']; digest: Digest }) =>
    `${name ? fullNameText(name) : ''} ${digest}`;
  const listed = new Map(descriptors.map((descriptor) => [keyOf(descriptor), descriptor]));
  const announced = new Map(images.map((image) => [keyOf(image), image]));
  const names = new Set(images.map(({ name, digest }) => (name ? fullNameText(name) : digest)));
  if (names.size !== images.length || [...listed.keys()].some((key) => !announced.has(key))) throw differs();
  return [...announced].map(([key, image]) => {
    const { digest, mediaType } = image;
    const descriptor = listed.get(key) ?? { digest, mediaType, size: sink.sizeOf(digest) ?? 0 };
    return { announced: image, descriptor };
  });
}

function differs(): ArchiveError {
  return new ArchiveError('and index.json do not list the same images', BUNDLE_INDEX);
}

function expectPlatforms({ platforms }: BundledImage, image: ArchivedImage, found: FoundImage): void {
  const missing = platforms.filter((platform) => !image.platforms.includes(platform));
  if (missing.length > 0)
    throw new ArchiveError(
      `announces ${missing.join(', ')} of ${describeImage(found)}, which is not whole; import the bundle that carried the rest first`,
      BUNDLE_INDEX,
    );
}

async function addReferrers(
  image: ArchivedImage,
  found: FoundImage & { announced: BundledImage },
  sink: ContentSink,
  limit: WalkLimit,
): Promise<void> {
  const walker = new ClosureWalker(sink, limit);
  const referrers: FoundImage[] = [];
  for (const digest of found.announced.referrers) {
    const size = sink.sizeOf(digest);
    if (size === undefined) throw lacking([describeImage(found)], [{ digest, size: 0, kind: 'manifest' }]);
    const descriptor = { digest, size, mediaType: OCI_MANIFEST };
    referrers.push({ name: undefined, descriptor, closure: await walker.walk(descriptor) });
  }
  expectWhole(referrers);
  const [stranger] = attachReferrers([image], referrers, limit);
  if (stranger)
    throw new ArchiveError(
      `announces ${stranger.descriptor.digest} as a referrer of ${describeImage(found)}, which it is not`,
      BUNDLE_INDEX,
    );
}
