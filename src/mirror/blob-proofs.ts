/** Owns the word of an upstream on whether a repository holds a blob: knowing a digest is not permission. */
import { blobUnknown } from '../oci/registry-error.ts';
import { SingleFlight } from '../single-flight.ts';
import { Absences } from './absences.ts';
import type { BlobQuestion } from './blobs.ts';
import { cannotSay } from './failures.ts';
import type { Permission } from './permission.ts';
import { keyOf, repositoryOf } from './place.ts';

export class BlobProofs {
  readonly #permission: Permission;
  readonly #absences: Absences;
  readonly #proving = new SingleFlight<{ size: number | undefined } | undefined>();

  constructor(permission: Permission, now: () => number) {
    this.#permission = permission;
    this.#absences = new Absences(now);
  }

  /** @throws RegistryError where upstream has said a moment ago that there is no such blob */
  refuseAbsent(question: BlobQuestion): void {
    this.#absences.check(keyOf(question, question.digest));
  }

  /** @returns whether the repository was proven before to hold the blob */
  holds({ upstream, repository, digest }: BlobQuestion): boolean {
    return this.#permission.holds(upstream.host, repository, digest);
  }

  /** @returns whether a manifest that the repository holds names the blob */
  isNamed(question: BlobQuestion): boolean {
    return this.#permission.isNamed(repositoryOf(question), question.digest);
  }

  /**
   * Asks upstream whether this repository holds the blob.
   * @returns its word, or `named` where it cannot say and a manifest that the repository holds names the blob
   * @throws RegistryError, UpstreamError
   */
  async prove(question: BlobQuestion): Promise<{ size: number | undefined } | 'named'> {
    const { upstream, repository, digest } = question;
    this.refuseAbsent(question);
    try {
      const head = await this.#proving.run(keyOf(question, digest), () =>
        upstream.client.headBlob(repository, digest),
      ).result;
      if (!head) throw this.absent(question);
      this.grant(question);
      return head;
    } catch (error) {
      if (cannotSay(error) && this.isNamed(question)) return 'named';
      throw error;
    }
  }

  /** Upstream has proven it by giving the blob. */
  grant({ upstream, repository, digest }: BlobQuestion): void {
    this.#permission.grant(upstream.host, repository, digest);
  }

  /** @returns the error for what upstream does not have; it is remembered for a while */
  absent(question: BlobQuestion): Error {
    const key = keyOf(question, question.digest);
    return this.#absences.remember(key, blobUnknown(key), question.upstream.notFoundTtlMs);
  }
}
