/** Owns which images of an archive the signatures and SBOMs in it belong to (image-spec, "subject"). */
import type { Digest } from '../../oci/digest.ts';
import type { FullImageName } from '../../oci/image-name.ts';
import type { ArchivedImage } from '../archive-content.ts';
import type { ArchiveClosure, ManifestNamed } from './archive-closure.ts';
import type { WalkLimit } from './walk-limit.ts';

/** A manifest that an archive lists, with all that it needs. */
export interface FoundImage {
  name: FullImageName | undefined;
  descriptor: ManifestNamed;
  closure: ArchiveClosure;
}

/**
 * Adds to each image what refers to it, and what refers to that.
 * @returns the referrers whose subject is nowhere, or that are not whole
 * @throws ArchiveError where it is too much
 */
export function attachReferrers(
  images: readonly ArchivedImage[],
  referrers: readonly FoundImage[],
  limit: WalkLimit,
): FoundImage[] {
  const bySubject = new Map<Digest | undefined, FoundImage[]>();
  for (const referrer of new Map(referrers.map((each) => [each.descriptor.digest, each])).values()) {
    const { missing, subject } = referrer.closure;
    if (missing.size > 0) continue;
    const others = bySubject.get(subject);
    if (others) others.push(referrer);
    else bySubject.set(subject, [referrer]);
  }
  const attached = new Set<Digest>();
  for (const image of images) {
    const known = new Set(image.contents.map(({ digest }) => digest));
    // What is added meanwhile is gone through too: a signature of an SBOM.
    for (const { digest: subject } of image.contents) {
      for (const referrer of bySubject.get(subject) ?? []) {
        const { descriptor, closure } = referrer;
        limit.spend(closure.contents.size);
        attached.add(descriptor.digest);
        image.referrers.push(descriptor.digest);
        for (const [digest, content] of closure.contents) {
          if (!known.has(digest)) image.contents.push(content);
          known.add(digest);
        }
      }
    }
  }
  return referrers.filter(({ descriptor }) => !attached.has(descriptor.digest));
}
