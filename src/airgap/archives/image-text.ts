/** Owns how an image is called in messages. Pure. */
import type { Digest } from '../../oci/digest.ts';
import { type FullImageName, fullNameText } from '../../oci/image-name.ts';

/** @returns its name in full, or its digest where it has none */
export function describeImage({
  name,
  descriptor,
}: {
  name: FullImageName | undefined;
  descriptor: { digest: Digest };
}): string {
  return name ? fullNameText(name) : descriptor.digest;
}
