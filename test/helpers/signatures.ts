/** Owns what refers to images in tests: signatures and SBOMs, by `subject` and under the tag schema. */
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { blobOf, type Content, type Image, type Index, type TypedContent } from './content.ts';

export const SIGNATURE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
export const SBOM = 'application/spdx+json';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';

/** An artifact (image-spec, "Guidelines for Artifact Usage") that refers to a manifest where there is one. */
export function artifactOf(seed: string, artifactType: string, subject?: TypedContent): Image {
  const config = contentOf({});
  // A DSSE envelope: not compressed, of a type that no registry knows.
  const layer = blobOf(300, seed);
  const describe = (mediaType: string, { digest, body }: Content) => ({
    mediaType,
    digest,
    size: body.length,
  });
  const manifest = contentOf({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config: describe(EMPTY_TYPE, config),
    layers: [describe('application/vnd.dsse.envelope.v1+json', layer)],
    ...(subject && { subject: describe(subject.mediaType, subject) }),
    annotations: { seed },
  });
  return { manifest: { ...manifest, mediaType: OCI_MANIFEST }, config, layers: [layer] };
}

/** A descriptor in a list of referrers. */
export interface Described {
  mediaType: string;
  digest: Digest;
  size: number;
  artifactType: string;
  annotations: Record<string, string>;
}

/** What a registry with the API, or a client in an index, says of an artifact. */
export function descriptorOf({ manifest }: Image): Described {
  const { artifactType, annotations } = JSON.parse(manifest.body.toString());
  const { mediaType, digest, body } = manifest;
  return { mediaType, digest, size: body.length, artifactType, annotations };
}

/** What clients keep under `sha256-<hex>` where the API is missing. */
export function referrersIndex(images: Image[]): Index {
  const manifests = images.map(descriptorOf);
  const manifest = contentOf({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  return { manifest: { ...manifest, mediaType: OCI_INDEX }, images };
}

function contentOf(document: unknown): Content {
  const body = Buffer.from(JSON.stringify(document));
  return { digest: digestOf(body), body };
}
