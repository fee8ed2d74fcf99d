/** Owns the contracts between archives and the store: where content from an archive goes, and where a bundle's comes from. */
import type { Digest } from '../oci/digest.ts';
import type { FullImageName } from '../oci/image-name.ts';

/** Takes content out of an archive. Content is visible under its digest only once it was proven. */
export interface ContentSink {
  /** @returns the size in bytes of content that is there already: its bytes need not be read */
  sizeOf(digest: Digest): number | undefined;
  /**
   * Takes content in, reading `body` to its end; its chunks are the sink's, who may give their memory back.
   * @param size what the archive says that it has, bytes
   * @throws DigestMismatchError where it is something else; NoRoomError; StorageError; what `body` throws
   */
  put(digest: Digest, size: number, body: AsyncIterable<Buffer>): Promise<void>;
  /** As `put`, for content of which the archive does not say what it is. @returns what it is */
  take(size: number, body: AsyncIterable<Buffer>): Promise<Digest>;
  /** @returns small content (a manifest, a configuration), undefined where it is not there or larger */
  read(digest: Digest, maxBytes: number): Promise<Buffer | undefined>;
}

/** Gives the content of a bundle. */
export interface ContentSource {
  /** Its chunks are the reader's, who may give their memory back. @throws where the content is not there, or is not what it should be: before its last bytes */
  open(digest: Digest): AsyncIterable<Buffer>;
}

/** One thing that belongs to an image. */
export interface ArchivedContent {
  digest: Digest;
  /** bytes */
  size: number;
  /** `manifest` for indexes too */
  kind: 'manifest' | 'blob';
}

/** An image as it is carried across. */
export interface ArchivedImage {
  /** the name under which clients pull it; undefined where an archive does not say */
  name: FullImageName | undefined;
  /** of the index, or of the manifest where there is none */
  digest: Digest;
  mediaType: string;
  /** the platforms of an index that are carried (`linux/arm64/v8`), in order; empty for an image without index */
  platforms: string[];
  /** all that it needs, itself first, manifests before what they name; each once; referrers and what they name too */
  contents: ArchivedContent[];
  /** of these, the manifests that refer to it: signatures, SBOMs */
  referrers: Digest[];
  /** whether its manifest was made from an archive that has none */
  isMade: boolean;
}
