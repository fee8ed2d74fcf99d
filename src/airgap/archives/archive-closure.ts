/** Owns the walk from an image in an archive to all that it needs: what is there, and what is missing. */
import type { Digest } from '../../oci/digest.ts';
import { type Descriptor, MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '../../oci/manifest.ts';
import type { ArchivedContent, ContentSink } from '../archive-content.ts';
import { ArchiveError, printable } from './archive-error.ts';
import { isAttestation, platformName } from './platform-names.ts';
import type { WalkLimit } from './walk-limit.ts';

/** An index in an index in an index of manifests: more is nobody's image. */
const MAX_DEPTH = 4;

/** What names a manifest: a descriptor, or what stands for one. */
export type ManifestNamed = Pick<Descriptor, 'digest' | 'size' | 'mediaType' | 'platform'>;

export interface ArchiveClosure {
  mediaType: string;
  /** what is needed and there, the manifest itself first */
  contents: Map<Digest, ArchivedContent>;
  /** what is needed and not there; of an index nothing, where one platform at least is whole */
  missing: Map<Digest, ArchivedContent>;
  /** of an index, the platforms that are whole */
  platforms: Set<string>;
  /** of an index, the platforms of which a part is there, and how much they lack */
  parts: Map<string, number>;
  subject: Digest | undefined;
}

/** Walks manifests of one archive; what was walked once is remembered. */
export class ClosureWalker {
  readonly #sink: ContentSink;
  readonly #limit: WalkLimit;
  readonly #platforms: ReadonlySet<string> | undefined;
  readonly #known = new Map<Digest, ArchiveClosure>();

  /** @param platforms of an index that are meant; undefined: all that are whole */
  constructor(sink: ContentSink, limit: WalkLimit, platforms?: readonly string[]) {
    this.#sink = sink;
    this.#limit = limit;
    this.#platforms = platforms && new Set(platforms);
  }

  /** @throws ArchiveError where a manifest is none, or says of content what is not so; what the sink throws */
  async walk(named: ManifestNamed, depth = 1): Promise<ArchiveClosure> {
    const { digest, size, mediaType } = named;
    const known = this.#known.get(digest);
    if (known) {
      expectSize(digest, size, known.contents.get(digest)?.size);
      return known;
    }
    if (depth > MAX_DEPTH) throw new ArchiveError(`${digest} is nested more than ${MAX_DEPTH} indexes deep`);
    const self: ArchivedContent = { digest, size, kind: 'manifest' };
    const manifest = await this.#read(named);
    const closure = emptyClosure(mediaType);
    if (!manifest) closure.missing.set(digest, self);
    else {
      closure.mediaType = manifest.mediaType;
      closure.subject = manifest.subject?.digest;
      closure.contents.set(digest, self);
      if (manifest.isIndex) await this.#addPlatforms(closure, manifest, depth);
      else this.#addBlobs(closure, manifest, digest);
    }
    this.#known.set(digest, closure);
    return closure;
  }

  async #read({ digest, size, mediaType }: ManifestNamed): Promise<Manifest | undefined> {
    const there = this.#sink.sizeOf(digest);
    if (there === undefined) return undefined;
    expectSize(digest, size, there);
    if (there > MAX_MANIFEST_BYTES) throw new ArchiveError(`${digest} is larger than a manifest may be`);
    this.#limit.read(there);
    const body = await this.#sink.read(digest, MAX_MANIFEST_BYTES);
    const manifest = body && parseManifest(body, mediaType);
    const isKnown = manifest && (manifest.isIndex || manifest.children.some(({ role }) => role === 'config'));
    if (body && !isKnown)
      throw new ArchiveError(`${digest} is no manifest that hubcap knows (${printable(mediaType)})`);
    return manifest;
  }

  #addBlobs(closure: ArchiveClosure, { children }: Manifest, digest: Digest): void {
    this.#limit.spend(children.length + 1);
    for (const { digest: blob, size, foreign } of children) {
      // A foreign layer is not distributed with the image.
      if (foreign) continue;
      const there = this.#sink.sizeOf(blob);
      expectSize(blob, size, there, digest);
      (there === undefined ? closure.missing : closure.contents).set(blob, {
        digest: blob,
        size,
        kind: 'blob',
      });
    }
  }

  async #addPlatforms(closure: ArchiveClosure, { children }: Manifest, depth: number): Promise<void> {
    const lacking = new Map<Digest, ArchivedContent>();
    let hasImage = false;
    for (const child of new Map(children.map((each) => [each.digest, each])).values()) {
      const platform = platformName(child.platform);
      // What has no name was not chosen, nor left out, by it.
      if (platform !== undefined && this.#platforms?.has(platform) === false) continue;
      const found = await this.walk(child, depth + 1);
      this.#limit.spend(found.contents.size + found.missing.size + found.parts.size);
      if (found.missing.size > 0) {
        for (const [digest, content] of found.missing) lacking.set(digest, content);
        if (platform !== undefined && found.contents.size > 0)
          closure.parts.set(platform, found.missing.size);
        continue;
      }
      for (const [digest, content] of found.contents) closure.contents.set(digest, content);
      for (const each of platform === undefined ? found.platforms : [platform]) closure.platforms.add(each);
      for (const [each, missing] of found.parts) closure.parts.set(each, missing);
      hasImage ||= !isAttestation(child.platform);
    }
    if (!hasImage) for (const [digest, content] of lacking) closure.missing.set(digest, content);
  }
}

/** What an image needs that is nowhere, for everybody who has to say so. */
export function lacking(names: readonly string[], missing: readonly ArchivedContent[]): ArchiveError {
  const list = missing.slice(0, MAX_SHOWN).map(({ digest }) => digest);
  const more = missing.length > MAX_SHOWN ? ` and ${missing.length - MAX_SHOWN} more` : '';
  const who =
    names.slice(0, MAX_SHOWN).join(', ') +
    (names.length > MAX_SHOWN ? ` and ${names.length - MAX_SHOWN} more` : '');
  const what = missing.length === 1 ? '1 blob' : `${missing.length} blobs`;
  return new ArchiveError(
    `${who}: needs ${what} that neither the archive nor the store has: ${list.join(', ')}${more}; import the bundle that carried them first`,
  );
}

const MAX_SHOWN = 5;

function emptyClosure(mediaType: string): ArchiveClosure {
  return {
    mediaType,
    contents: new Map(),
    missing: new Map(),
    platforms: new Set(),
    parts: new Map(),
    subject: undefined,
  };
}

function expectSize(digest: Digest, size: number, there: number | undefined, by?: Digest): void {
  if (there === undefined || there === size) return;
  throw new ArchiveError(
    `${digest} has ${there} bytes, and ${by ?? 'what names it'} says that it has ${size}`,
  );
}
