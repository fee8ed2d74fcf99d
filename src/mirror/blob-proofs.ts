/** Owns the word of an upstream on whether a repository holds a blob: knowing a digest is not permission. */
import { blobUnknown } from '../oci/registry-error.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Absences } from './absences.ts';
import type { BlobQuestion } from './blobs.ts';
import { cannotSay } from './failures.ts';
import type { Grant, Permission } from './permission.ts';
import { keyOf } from './place.ts';

type BlobHead = { size: number | undefined };

/** Upstream's word; else why the blob may be served without it. */
export type BlobProof = BlobHead | 'unconfirmed' | 'kept';

export class BlobProofs {
  readonly #permission: Permission;
  readonly #absences: Absences;
  readonly #proving = new SingleFlight<BlobHead | undefined>();

  constructor(permission: Permission, now: () => number) {
    this.#permission = permission;
    this.#absences = new Absences(now);
  }

  /**
   * An image may be pushed between two questions: where a manifest that names the blob has come since, upstream is
   * asked again.
   * @throws RegistryError where upstream has said a moment ago that there is no such blob
   */
  refuseAbsent(question: BlobQuestion): void {
    const key = keyOf(question, question.digest);
    const saidAtMs = this.#absences.saidAt(key);
    if (saidAtMs === undefined) return;
    const namedAtMs = this.#permission.namedAt(question, question.digest);
    if (namedAtMs === undefined || namedAtMs <= saidAtMs) this.#absences.check(key);
  }

  /** @param askedAtMs when the client asked, where upstream may have been asked for it since */
  state(question: BlobQuestion, askedAtMs?: number): Grant {
    return this.#permission.state(question, question.digest, askedAtMs);
  }

  /** @returns whether a manifest that the repository holds names the blob */
  isNamed(question: BlobQuestion): boolean {
    return this.#permission.isNamed(question, question.digest);
  }

  /**
   * Asks upstream whether this repository holds the blob; where it has said so before, or a manifest that the
   * repository holds names the blob, that counts while it cannot say.
   * @param isHere whether the content is here, or on its way: else nothing but upstream's word is of use
   * @throws RegistryError, UpstreamError
   */
  async prove(question: BlobQuestion, isHere: boolean): Promise<BlobProof> {
    const { upstream, repository, digest } = question;
    const state = isHere ? this.state(question) : 'none';
    if (state === 'unconfirmed' || state === 'kept') return state;
    const wasHeld = state !== 'none';
    this.refuseAbsent(question);
    try {
      const deadlineMs = wasHeld ? upstream.confirmMs : undefined;
      const head = await this.#proving.run(keyOf(question, digest), async () => {
        const { client } = upstream;
        const found = await client.headBlob(repository, digest, deadlineMs);
        if (found) this.grant(question, client);
        return found;
      }).result;
      if (head) return head;
    } catch (error) {
      if (!cannotSay(error) || !isHere || !(wasHeld || this.isNamed(question))) throw error;
      this.#permission.pause(question, digest, 'unconfirmed');
      return 'unconfirmed';
    }
    if (!wasHeld || !upstream.keepDeleted) throw this.absent(question);
    this.#permission.pause(question, digest, 'kept');
    return 'kept';
  }

  /** Upstream has proven it, by giving the blob or by its word. @param client who was asked */
  grant(question: BlobQuestion, client: Upstream): void {
    this.#permission.grant(question, question.digest, client);
  }

  /** The blob is stored: what has been proven can be noted with it. */
  note(question: BlobQuestion): void {
    this.#permission.note(question, question.digest);
  }

  /** @returns the error for what upstream does not have; it is remembered for a while */
  absent(question: BlobQuestion): Error {
    const { upstream, digest } = question;
    const key = keyOf(question, digest);
    this.#permission.revoke(question, digest, 'blob');
    return this.#absences.remember(key, blobUnknown(key), upstream.notFoundTtlMs);
  }
}
