/** Owns fetching what refers to an image: signatures, SBOMs, attestations, by the API and by tags. */
import type { Digest } from '../oci/digest.ts';
import { parseTag, type Reference } from '../oci/reference.ts';
import { cosignTags } from '../oci/referrer.ts';
import { RegistryError } from '../oci/registry-error.ts';
import type { Closure } from './chosen-closure.ts';
import { type ImageInWork, obtain } from './image-in-work.ts';
import { patiently } from './patience.ts';

/** A signature of an SBOM of an image: nobody goes further. */
const MAX_DEPTH = 3;
const MAX_REFERRERS = 200;

/** Brings the manifests into the store that refer to the image, to one of its platforms, or to one of these. */
export async function fetchReferrers(work: ImageInWork, closure: Closure, root: Digest): Promise<void> {
  const seen = new Set<Digest>();
  const visit = async (subject: Digest, depth: number): Promise<void> => {
    if (seen.has(subject) || seen.size >= MAX_REFERRERS) return;
    seen.add(subject);
    const { parts, place } = work;
    const found = await patiently(work, () => parts.listings.referrersOf(place, subject, MAX_REFERRERS));
    for (const digest of found) {
      await obtain(work, { kind: 'digest', digest });
      if (depth < MAX_DEPTH) await visit(digest, depth + 1);
    }
  };
  for (const subject of new Set([root, ...closure.manifests])) {
    await visit(subject, 1);
    await fetchSignatures(work, subject);
  }
}

/** HEAD says whether there is such a tag: no pull is spent on those that there are not. */
async function fetchSignatures(work: ImageInWork, subject: Digest): Promise<void> {
  const { parts, place } = work;
  for (const text of cosignTags(subject)) {
    const tag = parseTag(text);
    if (!tag) continue;
    const reference: Reference = { kind: 'tag', tag };
    try {
      await patiently(work, () => parts.manifests.look(place, reference));
    } catch (error) {
      if (error instanceof RegistryError && error.status === 404) continue;
      throw error;
    }
    await obtain(work, reference);
  }
}
