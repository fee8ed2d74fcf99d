/** Owns the names of images in the `index.json` of an OCI image layout: how they are written, and which are believed. */
import { type FullImageName, fullNameText, parseFullName } from '../../oci/image-name.ts';
import type { ArchivedImage } from '../archive-content.ts';

const CONTAINERD_NAME = 'io.containerd.image.name';
const REF_NAME = 'org.opencontainers.image.ref.name';

/** @returns the descriptor that `index.json` has of an image (image-spec, "Image Layout", index.json) */
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
export function annotatedName(annotations: Readonly<Record<string, string>>): FullImageName | undefined {
  const { [CONTAINERD_NAME]: full, [REF_NAME]: reference } = annotations;
  if (full !== undefined) return parseFullName(full);
  // Docker and BuildKit write a bare tag here, podman and skopeo whatever they were told: `latest`, `alpine:3.20`.
  return reference !== undefined && /[:/@]/.test(reference) ? parseFullName(reference) : undefined;
}
