/** Owns which images of an archive the signatures and SBOMs in it belong to (image-spec, "subject"). */
import type { FullImageName } from '../../oci/image-name.ts';
import type { ArchivedImage } from '../archive-content.ts';
import type { ArchiveClosure, ManifestNamed } from './archive-closure.ts';

/** A manifest that an archive lists, with all that it needs. */
export interface FoundImage {
  name: FullImageName | undefined;
  descriptor: ManifestNamed;
  closure: ArchiveClosure;
}

/**
 * Adds to each image what refers to it, or to what refers to it.
 * @returns the referrers whose subject is nowhere, or that are not whole
 */
export function attachReferrers(
  images: readonly ArchivedImage[],
  referrers: readonly FoundImage[],
): FoundImage[] {
  const whole = referrers.filter(({ closure }) => closure.missing.size === 0);
  const attached = new Set<FoundImage>();
  for (const image of images) {
    const known = new Set(image.contents.map(({ digest }) => digest));
    // A signature of an SBOM comes after it in the next round; a round without an addition is the last one.
    for (let isMore = true; isMore; ) {
      isMore = false;
      for (const referrer of whole) {
        const { descriptor, closure } = referrer;
        const isNew =
          closure.subject !== undefined &&
          known.has(closure.subject) &&
          !image.referrers.includes(descriptor.digest);
        if (!isNew) continue;
        isMore = true;
        attached.add(referrer);
        image.referrers.push(descriptor.digest);
        for (const [digest, content] of closure.contents) {
          if (!known.has(digest)) image.contents.push(content);
          known.add(digest);
        }
      }
    }
  }
  return referrers.filter((referrer) => !attached.has(referrer));
}
