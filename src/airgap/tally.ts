/** Owns the figures of a prewarm: how far it is, over all images, each content counted once. */
import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import type { Digest } from '../oci/digest.ts';
import type { StoredContent } from '../store/content-index.ts';
import type { PrewarmEvent, PrewarmReport } from './commands.ts';
import type { AirgapParts } from './parts.ts';

/** What is known of one image while it is fetched. */
export interface RunningImage {
  reference: string;
  contents: readonly StoredContent[];
}

interface Known {
  size: number;
  /** whether it was stored when it was met */
  wasHere: boolean;
}

export class Tally {
  readonly #parts: Pick<AirgapParts, 'fills'>;
  readonly #total: number;
  readonly #running = new Set<RunningImage>();
  readonly #known = new Map<Digest, Known>();
  /** of all, of what was here before, and of what has come since */
  #bytes = 0;
  #hereBytes = 0;
  #comeBytes = 0;
  readonly #come = new Set<Digest>();
  /** of the images that were begun; in a dry run, how many manifests could not be fetched */
  readonly #upstreams = new Map<MirroredUpstream, number>();
  #done = 0;
  #failed = 0;
  /** manifests that were fetched */
  #pulls = 0;
  /** of a dry run: images of which the size is not known */
  #unknownImages = 0;

  constructor(total: number, parts: Pick<AirgapParts, 'fills'>) {
    this.#total = total;
    this.#parts = parts;
  }

  begin(image: RunningImage): void {
    this.#running.add(image);
  }

  end(image: RunningImage): void {
    this.#running.delete(image);
  }

  /** An image is of the upstream, and that many of its manifests could not be fetched by a dry run. */
  needs(upstream: MirroredUpstream, missingPulls: number): void {
    this.#upstreams.set(upstream, (this.#upstreams.get(upstream) ?? 0) + missingPulls);
  }

  /** A manifest was fetched. */
  pulled(): void {
    this.#pulls += 1;
  }

  done(): void {
    this.#done += 1;
  }

  /** In a dry run: of an image manifests are missing, so that what it has is not known. */
  foreseeUnknown(): void {
    this.#unknownImages += 1;
  }

  get unknownImages(): number {
    return this.#unknownImages;
  }

  /** the upstreams of the images that were begun, with the pulls that a dry run could not make */
  get upstreams(): ReadonlyMap<MirroredUpstream, number> {
    return this.#upstreams;
  }

  failed(): void {
    this.#failed += 1;
  }

  /** Content belongs to an image. @param wasHere whether it was stored before this run */
  meet({ digest, size }: StoredContent, wasHere: boolean): void {
    if (this.#known.has(digest)) return;
    this.#known.set(digest, { size, wasHere });
    this.#bytes += size;
    if (wasHere) this.#hereBytes += size;
  }

  /** Content that was not here is stored now. */
  came(digest: Digest): void {
    const known = this.#known.get(digest);
    if (!known || known.wasHere || this.#come.has(digest)) return;
    this.#come.add(digest);
    this.#comeBytes += known.size;
  }

  /** @returns whether the content was stored before this run; undefined where it was not met yet */
  wasHere(digest: Digest): boolean | undefined {
    return this.#known.get(digest)?.wasHere;
  }

  /** of all content that was met, each once, on disk as in bytes */
  *contents(): Generator<StoredContent> {
    for (const [digest, { size }] of this.#known) yield { digest, size };
  }

  /** what the upstream of an image that was begun still allows, the least of them; undefined where no limit is known */
  get pullsLeft(): number | undefined {
    const left = [...this.#upstreams.keys()].flatMap(({ client }) => {
      const known = client.accounts.flatMap(({ remaining }) => remaining ?? []);
      return known.length === 0 ? [] : [known.reduce((sum, remaining) => sum + remaining, 0)];
    });
    return left.length === 0 ? undefined : Math.min(...left);
  }

  progress(): PrewarmEvent {
    const running = [...this.#running].map(({ reference, contents }) => ({
      reference,
      bytes: contents.reduce((sum, { digest, size }) => sum + this.#arrived(digest, size), 0),
      totalBytes: contents.reduce((sum, { size }) => sum + size, 0),
    }));
    const under = new Map(
      [...this.#running].flatMap(({ contents }) => contents.map((one) => [one.digest, one])),
    );
    let flowing = 0;
    for (const { digest } of under.values()) {
      if (!this.#come.has(digest) && this.#known.get(digest)?.wasHere === false)
        flowing += this.#parts.fills.bytesOf(digest) ?? 0;
    }
    return {
      kind: 'progress',
      running,
      images: { done: this.#done, failed: this.#failed, total: this.#total },
      bytes: this.#hereBytes + this.#comeBytes + flowing,
      totalBytes: this.#bytes,
      fetchedBytes: this.#comeBytes + flowing,
      pullsLeft: this.pullsLeft,
    };
  }

  report(isDryRun: boolean): Omit<PrewarmReport, 'failures' | 'forecast'> {
    return {
      images: { done: this.#done, failed: this.#failed, total: this.#total },
      bytes: this.#bytes,
      hereBytes: this.#hereBytes,
      fetchedBytes: isDryRun ? this.#bytes - this.#hereBytes : this.#comeBytes,
      pulls: this.#pulls,
    };
  }

  #arrived(digest: Digest, size: number): number {
    if (this.#come.has(digest) || this.#known.get(digest)?.wasHere) return size;
    return this.#parts.fills.bytesOf(digest) ?? 0;
  }
}
