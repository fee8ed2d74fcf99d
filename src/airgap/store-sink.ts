/** Owns where an import puts content: into the store, or, in a dry run, nowhere. */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Place } from '../mirror/place.ts';
import { algorithmOf, type Digest, digestOfHash } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { DigestMismatchError } from '../store/errors.ts';
import type { Intake } from '../store/intake.ts';
import type { Hold } from '../store/pins.ts';
import type { ContentSink } from './archive-content.ts';
import type { AirgapParts } from './parts.ts';
import { explainBudget } from './pinning.ts';

export interface ImportSink extends ContentSink {
  /** content that was not in the store before */
  readonly added: ReadonlySet<Digest>;
}

type SinkParts = Pick<AirgapParts, 'store' | 'catalog' | 'upstreams' | 'visibility'>;

/** Repositories of one layer that are looked through for one that is for everybody. */
const MAX_HOLDERS = 100;

/**
 * What the archive does not bring must be here, and be for everybody already: a manifest that merely names a digest
 * opens nothing (rule 3). What it brings is proven, also where it is here.
 */
class ProvenContent {
  readonly #parts: SinkParts;
  readonly #sizes = new Map<Digest, number>();

  constructor(parts: SinkParts) {
    this.#parts = parts;
  }

  add(digest: Digest, size: number): void {
    this.#sizes.set(digest, size);
  }

  sizeOf(digest: Digest): number | undefined {
    return this.#sizes.get(digest) ?? (this.#isOpen(digest) ? this.#parts.store.sizeOf(digest) : undefined);
  }

  #isOpen(digest: Digest): boolean {
    const { catalog, upstreams, visibility } = this.#parts;
    return catalog.holders(digest, MAX_HOLDERS).some(({ upstream: host, name: repository }) => {
      const upstream = upstreams.named(host);
      if (!upstream) return false;
      const place: Place = { upstream, repository };
      return visibility.isServable(place);
    });
  }
}

/** @param hold keeps what comes from eviction until all of it is named */
export function storeSink(parts: SinkParts & { intake: Intake }, hold: Hold): ImportSink {
  const { store, intake } = parts;
  const proven = new ProvenContent(parts);
  const added = new Set<Digest>();
  const take = async (
    wanted: Digest | undefined,
    size: number,
    body: AsyncIterable<Buffer>,
  ): Promise<Digest> => {
    const isHere = wanted !== undefined && store.sizeOf(wanted) === size;
    if (wanted) explainBudget(() => hold.add([{ digest: wanted, size }], isHere));
    const { digest, isNew } = isHere
      ? { digest: await prove(wanted, size, body), isNew: false }
      : await intake.take({ digest: wanted, size, body });
    if (isNew) added.add(digest);
    hold.add([{ digest, size }], true);
    proven.add(digest, size);
    return digest;
  };
  return {
    added,
    sizeOf: (digest) => {
      const size = proven.sizeOf(digest);
      // Who is told that it is here passes its bytes over: it must stay.
      if (size !== undefined) hold.add([{ digest, size }], true);
      return size;
    },
    put: async (digest, size, body) => {
      await take(digest, size, body);
    },
    take: (size, body) => take(undefined, size, body),
    read: async (digest, maxBytes) => await store.readAll(digest, maxBytes),
  };
}

/** Documents of a dry run that are kept: an archive of many images has some megabytes of them. */
const MAX_KEPT_BYTES = 256 * 1024 * 1024;

/** Proves what comes, and keeps the manifests alone, in memory. */
export function drySink(parts: SinkParts): ImportSink {
  const { store } = parts;
  const proven = new ProvenContent(parts);
  const added = new Set<Digest>();
  const documents = new LRUCache<Digest, Buffer>({
    maxSize: MAX_KEPT_BYTES,
    sizeCalculation: (body) => body.length + 1,
  });
  const take = async (
    wanted: Digest | undefined,
    size: number,
    body: AsyncIterable<Buffer>,
  ): Promise<Digest> => {
    const chunks: Buffer[] = [];
    const isSmall = size <= MAX_MANIFEST_BYTES;
    const digest = await prove(wanted, size, body, (chunk) => {
      if (isSmall) chunks.push(chunk);
    });
    const document = Buffer.concat(chunks);
    if (isSmall && mayBeJson(document)) documents.set(digest, document);
    if (store.sizeOf(digest) === undefined) added.add(digest);
    proven.add(digest, size);
    return digest;
  };
  return {
    added,
    sizeOf: (digest) => proven.sizeOf(digest),
    put: async (digest, size, body) => {
      await take(digest, size, body);
    },
    take: (size, body) => take(undefined, size, body),
    read: async (digest, maxBytes) => documents.get(digest) ?? (await store.readAll(digest, maxBytes)),
  };
}

function mayBeJson(content: Buffer): boolean {
  return content.subarray(0, 64).toString('latin1').trimStart().startsWith('{');
}

async function prove(
  wanted: Digest | undefined,
  size: number,
  body: AsyncIterable<Buffer>,
  seen: (chunk: Buffer) => void = () => undefined,
): Promise<Digest> {
  const algorithm = wanted ? algorithmOf(wanted) : 'sha256';
  const hash = createHash(algorithm);
  let bytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    seen(chunk);
    bytes += chunk.length;
  }
  const found = digestOfHash(algorithm, hash);
  if (bytes !== size || (wanted && found !== wanted))
    throw new DigestMismatchError(wanted ?? found, found, bytes);
  return found;
}
