/** Owns the verification that a command asks for: of everything or of one image, one at a time. */
import { performance } from 'node:perf_hooks';
import type { Digest } from '../oci/digest.ts';
import { type ImageName, parseImageName } from '../oci/image-name.ts';
import { parseRepository } from '../oci/reference.ts';
import { RefusedError } from '../refused-error.ts';
import type { Catalog } from '../store/catalog.ts';
import { closureOf } from '../store/closure.ts';
import { type VerifiedParts, type VerifyEvent, type VerifySelection, verify } from '../store/verify.ts';

export interface VerifierParts extends VerifiedParts {
  catalog: Catalog;
  /** by the names that clients have for them */
  upstreams: { named(name: string): { host: string } | undefined };
  defaultUpstream: string;
}

export class Verifier {
  readonly #parts: VerifierParts;
  #isRunning = false;

  constructor(parts: VerifierParts) {
    this.#parts = parts;
  }

  /**
   * @param reference an image as clients write it; undefined for the whole store
   * @returns what happens; it goes on only while it is read, and ends when reading does
   * @throws RefusedError at once
   */
  start(reference: string | undefined): AsyncGenerator<VerifyEvent> {
    this.#refuseSecond();
    return this.#run(reference === undefined ? undefined : this.#select(reference));
  }

  /** One that is never read is never begun. */
  async *#run(selection: VerifySelection | undefined): AsyncGenerator<VerifyEvent> {
    this.#refuseSecond();
    this.#isRunning = true;
    try {
      yield* verify(this.#parts, selection, () => performance.now());
    } finally {
      this.#isRunning = false;
    }
  }

  #refuseSecond(): void {
    if (this.#isRunning) throw new RefusedError(409, 'a verification runs already: wait for its end');
  }

  #select(text: string): VerifySelection {
    const name = parseImageName(text);
    if (!name)
      throw new RefusedError(400, `${text} is no image name such as alpine or ghcr.io/owner/app:1.2`);
    const digest = this.#find(name);
    if (digest === undefined)
      throw new RefusedError(404, `${text} is not in the store: \`hubcap images\` lists what is`);
    const links = closureOf(digest, this.#parts.catalog);
    const stored = links.filter((link) => link.stored).map(({ child }) => child);
    return { digests: [digest, ...stored], absent: links.length - stored.length };
  }

  #find({ host, repository, reference }: ImageName): Digest | undefined {
    const { catalog, upstreams, defaultUpstream } = this.#parts;
    const named = host ?? defaultUpstream;
    const upstream = upstreams.named(named)?.host ?? named; // it may have been mirrored once
    const isOfficial = upstream === 'docker.io' && !repository.includes('/');
    const path = isOfficial ? parseRepository(`library/${repository}`) : repository;
    if (!path) return undefined;
    if (reference.kind === 'tag') return catalog.tag({ upstream, name: path }, reference.tag)?.digest;
    const { digest } = reference;
    const isThere =
      catalog.holds({ upstream, name: path }, digest) && catalog.manifestType(digest) !== undefined;
    return isThere ? digest : undefined;
  }
}
