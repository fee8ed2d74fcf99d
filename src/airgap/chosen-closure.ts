/** Owns what belongs to an image of which some platforms are chosen: all that must be here for it to be whole. */
import type { Digest } from '../oci/digest.ts';
import { isIndexType } from '../oci/media-types.ts';
import {
  isPlatform,
  type Platform,
  type PlatformChoice,
  parsePlatform,
  platformText,
} from '../oci/platform.ts';
import { parseTag } from '../oci/reference.ts';
import { cosignTags } from '../oci/referrer.ts';
import type { Catalog, LinkRow, RepositoryName } from '../store/catalog.ts';
import type { ArchivedContent } from './archive-content.ts';

export interface Closure {
  /** the manifest or index itself first, manifests before what they name; each digest once */
  contents: ArchivedContent[];
  /** the chosen platforms of an index, as it writes them; empty for an image without index */
  platforms: string[];
  /** chosen platforms that the index does not have */
  lacking: Platform[];
  /** the manifests of the chosen platforms; the image itself where it is no index */
  manifests: Digest[];
  /** the manifests that refer to it by `subject`, where they are asked for */
  referrers: Digest[];
  /** those beside it that only a tag of cosign's connects with it, where they are asked for */
  signatures: Digest[];
  /** manifests that are not here, so that nobody knows what else belongs to it */
  unknown: Digest[];
}

export interface ClosureSources {
  catalog: Catalog;
  /** bytes of what is stored */
  sizeOf: (digest: Digest) => number | undefined;
}

/** Nobody nests deeper; a hostile manifest could. */
const MAX_DEPTH = 4;
/** A signature of an SBOM of an image: nobody goes further. */
const MAX_REFERRER_DEPTH = 3;
const MAX_REFERRERS = 1000;

/**
 * @param root a manifest or index that is stored
 * @param choice of an index; what is no index is taken as a whole
 */
export function chosenClosure(root: Digest, choice: PlatformChoice, sources: ClosureSources): Closure {
  const closure = new Gathering(sources);
  const isIndex = isIndexType(sources.catalog.manifestType(root) ?? '');
  closure.add(root, sources.sizeOf(root) ?? 0, 'manifest');
  if (!isIndex) closure.gather(root, 1);
  const chosen = isIndex ? choose(sources.catalog.links(root), choice) : undefined;
  for (const { child, size } of chosen?.links ?? []) {
    closure.add(child, size, 'manifest');
    closure.gather(child, 2);
  }
  return {
    contents: closure.contents,
    platforms: chosen?.platforms ?? [],
    lacking: chosen?.lacking ?? [],
    manifests: chosen ? chosen.links.map(({ child }) => child) : [root],
    referrers: [],
    signatures: [],
    unknown: closure.unknown,
  };
}

/** Which of the manifests that refer to an image are wanted. */
export interface ReferrerChoice {
  /** whether what cosign has put under tags of its own is among them */
  withTagged: boolean;
  accepts: (referrer: Digest) => boolean;
}

const ALL_REFERRERS: ReferrerChoice = { withTagged: true, accepts: () => true };

/** Adds what is stored of the manifests that refer to the image or to its chosen platforms, and what they name. */
export function withReferrers(
  closure: Closure,
  root: Digest,
  repository: RepositoryName,
  sources: ClosureSources,
  { withTagged, accepts }: ReferrerChoice = ALL_REFERRERS,
): Closure {
  const gathered = new Gathering(sources, closure);
  const referrers = new Set<Digest>();
  const signatures = new Set<Digest>();
  const take = (found: readonly Digest[], known: Set<Digest>, depth: number): void => {
    for (const digest of found) {
      if (known.has(digest) || !accepts(digest)) continue;
      known.add(digest);
      gathered.add(digest, sources.sizeOf(digest) ?? 0, 'manifest');
      gathered.gather(digest, 1);
      if (depth < MAX_REFERRER_DEPTH) visit(digest, depth + 1);
    }
  };
  const visit = (subject: Digest, depth: number): void => {
    take(sources.catalog.referrers(repository, subject, '', MAX_REFERRERS), referrers, depth);
    if (withTagged) take(signaturesOf(subject, repository, sources), signatures, depth);
  };
  for (const subject of new Set([root, ...closure.manifests])) visit(subject, 1);
  return {
    ...closure,
    contents: gathered.contents,
    unknown: gathered.unknown,
    referrers: [...referrers].sort(),
    signatures: [...signatures].filter((digest) => !referrers.has(digest)).sort(),
  };
}

/** What cosign has put beside the image, under tags of its own. */
function signaturesOf(subject: Digest, repository: RepositoryName, { catalog }: ClosureSources): Digest[] {
  return cosignTags(subject).flatMap((text) => {
    const tag = parseTag(text);
    return (tag && catalog.tag(repository, tag)?.digest) ?? [];
  });
}

/** @returns the platforms of an index of which all is stored, as it writes them */
export function completePlatforms(index: Digest, sources: ClosureSources): Platform[] {
  const platforms = sources.catalog
    .links(index)
    .flatMap(({ platform }) => (platform && parsePlatform(platform)) || []);
  return platforms.filter((platform) => isComplete(chosenClosure(index, [platform], sources), sources));
}

/** @returns whether all of it is stored */
export function isComplete({ contents, unknown, lacking }: Closure, { sizeOf }: ClosureSources): boolean {
  return (
    unknown.length === 0 &&
    lacking.length === 0 &&
    contents.every(({ digest }) => sizeOf(digest) !== undefined)
  );
}

/** What BuildKit writes as the platform of an attestation. */
const NO_PLATFORM = 'unknown/unknown';

/** All that an index names, or what it names for the platforms; attestations come with all alone. */
function choose(links: readonly LinkRow[], choice: PlatformChoice) {
  const manifests = links.filter(({ isForeign }) => !isForeign);
  if (choice === 'all') return { links: manifests, platforms: textsOf(manifests), lacking: [] };
  const fits = (platform: string | undefined, wanted: Platform): boolean => {
    const has = platform === undefined ? undefined : parsePlatform(platform);
    return has !== undefined && isPlatform(has, wanted);
  };
  const chosen = manifests.filter(({ platform }) => choice.some((wanted) => fits(platform, wanted)));
  const lacking = choice.filter((wanted) => !chosen.some(({ platform }) => fits(platform, wanted)));
  return { links: chosen, platforms: textsOf(chosen), lacking };
}

function textsOf(links: readonly LinkRow[]): string[] {
  const platforms = links.flatMap(({ platform }) => (platform && parsePlatform(platform)) || []);
  return [...new Set(platforms.map(platformText))].filter((text) => text !== NO_PLATFORM).sort();
}

class Gathering {
  readonly #sources: ClosureSources;
  readonly #contents: Map<Digest, ArchivedContent>;
  readonly #unknown: Set<Digest>;

  constructor(sources: ClosureSources, { contents, unknown }: Partial<Closure> = {}) {
    this.#sources = sources;
    this.#contents = new Map(contents?.map((content) => [content.digest, content]));
    this.#unknown = new Set(unknown);
  }

  get contents(): ArchivedContent[] {
    return [...this.#contents.values()];
  }

  get unknown(): Digest[] {
    return [...this.#unknown];
  }

  add(digest: Digest, size: number, kind: ArchivedContent['kind']): void {
    if (!this.#contents.has(digest)) this.#contents.set(digest, { digest, size, kind });
  }

  /** Adds what a manifest names. What is not stored is known to be wanted, and not what it names. */
  gather(manifest: Digest, depth: number): void {
    const { catalog, sizeOf } = this.#sources;
    if (sizeOf(manifest) === undefined || catalog.manifestType(manifest) === undefined) {
      this.#unknown.add(manifest);
      return;
    }
    for (const { child, role, size, isForeign } of catalog.links(manifest)) {
      if (isForeign) continue;
      this.add(child, size, role === 'manifest' ? 'manifest' : 'blob');
      if (role === 'manifest' && depth < MAX_DEPTH) this.gather(child, depth + 1);
    }
  }
}
