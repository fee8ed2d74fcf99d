/** Owns how a blob is obtained: from the store, from a running fill, by a new fill, or past the store. */
import type { Digest } from '../oci/digest.ts';
import { offlineUnknown } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import type { BlobReader } from '../store/blob-reader.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { StorageError } from '../store/errors.ts';
import type { Fills } from '../store/fills.ts';
import type { ContentPart } from './ahead-reader.ts';
import { ArrivingBlobs } from './arriving-blobs.ts';
import { BlobProofs } from './blob-proofs.ts';
import { toRegistryError } from './failures.ts';
import type { Permission } from './permission.ts';
import { keyOf, type Place } from './place.ts';

export interface BlobQuestion extends Place {
  digest: Digest;
}

export interface OpenBlob {
  outcome: Outcome;
  /** where the bytes come from, for counting */
  source: 'store' | 'fill' | 'bypass';
  /** must be closed */
  reader: BlobReader;
  /** to be told which part will be read, before it is: what is far ahead of a download is then fetched by itself */
  aim?: (part: ContentPart) => void;
  /** resolves when the fill that it reads from has ended, in whatever way */
  ended?: Promise<unknown>;
}

export interface BlobsOptions {
  store: DiskStore;
  fills: Fills;
  permission: Permission;
  isOffline: () => boolean;
  now: () => number;
}

export class Blobs {
  readonly #options: BlobsOptions;
  readonly #proofs: BlobProofs;
  readonly #arriving: ArrivingBlobs;

  constructor(options: BlobsOptions) {
    const { fills, permission, isOffline, now } = options;
    this.#options = options;
    this.#proofs = new BlobProofs(permission, now);
    this.#arriving = new ArrivingBlobs({ fills, proofs: this.#proofs, isOffline });
  }

  /** @throws RegistryError */
  async open(question: BlobQuestion): Promise<OpenBlob> {
    try {
      return await this.#open(question);
    } catch (error) {
      throw toRegistryError(keyOf(question, question.digest), error, 'BLOB_UNKNOWN');
    }
  }

  /**
   * What HEAD asks: whether the repository holds the blob, and its size. Nothing is downloaded.
   * @throws RegistryError
   */
  async head(question: BlobQuestion): Promise<{ outcome: Outcome; size: number | undefined }> {
    const { store, isOffline } = this.#options;
    try {
      const size = store.sizeOf(question.digest);
      if (size !== undefined && this.#proofs.holds(question)) return { outcome: 'hit', size };
      if (isOffline()) return { outcome: 'hit', size: this.#offline(question, size) };
      const proof = await this.#proofs.prove(question);
      return proof === 'named'
        ? { outcome: 'stale', size }
        : { outcome: size === undefined ? 'miss' : 'hit', size: size ?? proof.size };
    } catch (error) {
      throw toRegistryError(keyOf(question, question.digest), error, 'BLOB_UNKNOWN');
    }
  }

  async #open(question: BlobQuestion): Promise<OpenBlob> {
    const { store, isOffline } = this.#options;
    const { digest } = question;
    let isHeld = this.#proofs.holds(question);
    let outcome: Outcome = 'hit';
    if (isOffline()) {
      this.#offline(question, store.sizeOf(digest));
      isHeld = true;
    }
    if (!isHeld && store.sizeOf(digest) !== undefined) {
      outcome = (await this.#proofs.prove(question)) === 'named' ? 'stale' : 'hit';
      isHeld = true;
    }
    const reader = isHeld ? await this.#openStored(question) : undefined;
    if (reader) return { outcome, source: 'store', reader };
    if (isOffline()) throw offlineUnknown(keyOf(question, digest), 'BLOB_UNKNOWN');
    // Stored meanwhile: what was looked at first is looked at again.
    return (await this.#arriving.open(question)) ?? (await this.#open(question));
  }

  /** @returns undefined where it is not stored, or the disk refuses: upstream still has it */
  async #openStored(question: BlobQuestion): Promise<BlobReader | undefined> {
    const { store } = this.#options;
    try {
      const reader = await store.open(question.digest);
      if (!reader) return undefined;
      return this.#arriving.withFallback(question, reader);
    } catch (error) {
      if (error instanceof StorageError) return undefined;
      throw error;
    }
  }

  #offline(question: BlobQuestion, size: number | undefined): number {
    if (size !== undefined && (this.#proofs.holds(question) || this.#proofs.isNamed(question))) return size;
    throw offlineUnknown(keyOf(question, question.digest), 'BLOB_UNKNOWN');
  }
}
