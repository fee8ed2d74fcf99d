/** Owns the names of images in the `index.json` of an OCI image layout: how they are written, and which are believed. */
import { type FullImageName, fullNameText, parseFullName } from '../../oci/image-name.ts';
import type { ArchivedImage } from '../archive-content.ts';
import { printable } from './archive-error.ts';
import type { Notes } from './notes.ts';

const CONTAINERD_NAME = 'io.containerd.image.name';
const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * Both annotations have the name in full: `skopeo inspect oci-archive:FILE:REF` finds what is written just like REF, and a
 * bundle may have `latest` of many repositories; `ctr images import` and podman make an image of that name.
 *
 * An index stays what it is where not all of its platforms are carried. `docker load`, podman, skopeo and `ctr images import`
 * take that; `ctr images import --all-platforms` (containerd 1.6) wants all that an index names, and nothing can be done
 * about it but to carry that. It also leaves out blobs by sha512, which the others take.
 * @returns the descriptor that `index.json` has of an image (image-spec, "Image Layout", index.json)
 */
export function indexDescriptor({ name, digest, mediaType, contents }: ArchivedImage): object {
  const size = contents.find((content) => content.digest === digest)?.size;
  const text = name && fullNameText(name);
  return {
    mediaType,
    digest,
    size,
    ...(text && { annotations: { [CONTAINERD_NAME]: text, [REF_NAME]: text } }),
  };
}

/**
 * @param annotations of a descriptor in `index.json`
 * @returns the image's name; undefined where there is none, or only a tag
 */
export function annotatedName(
  annotations: Readonly<Record<string, string>>,
  notes: Notes,
): FullImageName | undefined {
  const { [CONTAINERD_NAME]: full, [REF_NAME]: reference } = annotations;
  // Docker and BuildKit write a bare tag as the reference, podman and skopeo whatever they were told: `latest`, `alpine:3.20`.
  const text = full ?? (reference !== undefined && /[:/@]/.test(reference) ? reference : undefined);
  const name = text === undefined ? undefined : parseFullName(text);
  if (text !== undefined && !name)
    notes.add(`index.json: "${printable(text)}" is no name of an image; it was left out`);
  return name;
}
