/** Owns how a blob is obtained: from the store, from a running fill, by a new fill, or past the store. */
import type { Digest } from '../oci/digest.ts';
import { offlineUnknown } from '../oci/registry-error.ts';
import type { Doubt, Outcome } from '../outcome.ts';
import type { BlobReader } from '../store/blob-reader.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { StorageError } from '../store/errors.ts';
import type { Fills } from '../store/fills.ts';
import type { ContentPart } from './ahead-reader.ts';
import { ArrivingBlobs } from './arriving-blobs.ts';
import { BlobProofs } from './blob-proofs.ts';
import { toRegistryError } from './failures.ts';
import type { Grant, Permission } from './permission.ts';
import { keyOf, type Place } from './place.ts';
import type { Visibility } from './visibility.ts';
import type { Wish } from './wish.ts';

export interface BlobQuestion extends Place {
  digest: Digest;
}

export interface OpenBlob {
  outcome: Outcome;
  /** where the bytes come from, for counting */
  source: 'store' | 'fill' | 'bypass';
  /** why upstream's word is missing, where it is served without */
  doubt?: Doubt | undefined;
  /** must be closed */
  reader: BlobReader;
  /** to be told which part will be read, before it is: what is far ahead of a download is then fetched by itself */
  aim?: (part: ContentPart) => void;
  /** resolves when the fill that it reads from has ended, in whatever way */
  ended?: Promise<unknown>;
}

export interface BlobHead {
  outcome: Outcome;
  /** bytes, undefined where upstream did not say */
  size: number | undefined;
  doubt?: Doubt;
}

export interface BlobsOptions {
  store: DiskStore;
  fills: Fills;
  permission: Permission;
  visibility: Visibility;
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
    this.#arriving = new ArrivingBlobs({ fills, proofs: this.#proofs, isOffline, now });
  }

  /** @throws RegistryError */
  async open(question: BlobQuestion): Promise<OpenBlob> {
    const { visibility } = this.#options;
    const discard = ({ reader }: OpenBlob): void => reader.close();
    return await visibility.during(question, wishFor(question), () => this.resume(question), discard);
  }

  /**
   * As `open`, for nobody: no client reads what it opens, so it does not matter whether the repository is for everybody.
   * @throws RegistryError
   */
  async resume(question: BlobQuestion): Promise<OpenBlob> {
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
  async head(question: BlobQuestion): Promise<BlobHead> {
    return await this.#options.visibility.during(question, wishFor(question), async () => {
      try {
        return await this.#head(question);
      } catch (error) {
        throw toRegistryError(keyOf(question, question.digest), error, 'BLOB_UNKNOWN');
      }
    });
  }

  async #head(question: BlobQuestion): Promise<BlobHead> {
    const { store, isOffline } = this.#options;
    const size = store.sizeOf(question.digest);
    const state = this.#proofs.state(question);
    if (size !== undefined && state === 'held') return { outcome: 'hit', size };
    if (isOffline()) return { outcome: 'hit', size: this.#offline(question, size, state) };
    const proof = await this.#proofs.prove(question, size !== undefined);
    if (typeof proof === 'string') return { outcome: 'stale', size, doubt: proof };
    return { outcome: size === undefined ? 'miss' : 'hit', size: size ?? proof.size };
  }

  async #open(question: BlobQuestion): Promise<OpenBlob> {
    const { store, isOffline } = this.#options;
    const { digest } = question;
    const state = this.#proofs.state(question);
    const size = store.sizeOf(digest);
    let doubt: Doubt | undefined;
    if (isOffline()) this.#offline(question, size, state);
    else if (size !== undefined && state !== 'held') {
      const proof = await this.#proofs.prove(question, true);
      doubt = typeof proof === 'string' ? proof : undefined;
    }
    const reader = state === 'held' || size !== undefined ? await this.#openStored(question) : undefined;
    if (reader) return { outcome: doubt ? 'stale' : 'hit', doubt, source: 'store', reader };
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

  #offline(question: BlobQuestion, size: number | undefined, state: Grant): number {
    if (size !== undefined && (state !== 'none' || this.#proofs.isNamed(question))) return size;
    throw offlineUnknown(keyOf(question, question.digest), 'BLOB_UNKNOWN');
  }
}

function wishFor({ digest }: BlobQuestion): () => Wish {
  return () => ({ kind: 'blob', path: `blobs/${digest}` });
}
