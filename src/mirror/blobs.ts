/** Owns how a blob is obtained: from the store, from a running fill, by a new fill, or past the store. */
import type { Digest } from '../oci/digest.ts';
import { blobUnknown, offlineUnknown } from '../oci/registry-error.ts';
import type { Outcome } from '../outcome.ts';
import { SingleFlight } from '../single-flight.ts';
import type { BlobReader } from '../store/blob-reader.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { PartialRefusedError, StorageError } from '../store/errors.ts';
import type { FillStart, Fills } from '../store/fills.ts';
import { passingReader } from '../store/passing-reader.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { Absences } from './absences.ts';
import { cannotSay, toRegistryError } from './failures.ts';
import type { Permission } from './permission.ts';
import { keyOf, type Place, repositoryOf } from './place.ts';

export interface BlobQuestion extends Place {
  digest: Digest;
}

export interface OpenBlob {
  outcome: Outcome;
  /** where the bytes come from, for counting */
  source: 'store' | 'fill' | 'bypass';
  /** must be closed */
  reader: BlobReader;
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
  readonly #absences: Absences;
  readonly #proving = new SingleFlight<{ size: number | undefined } | undefined>();

  constructor(options: BlobsOptions) {
    this.#options = options;
    this.#absences = new Absences(options.now);
  }

  /** @throws RegistryError */
  async open(question: BlobQuestion): Promise<OpenBlob> {
    try {
      return await this.#open(question);
    } catch (error) {
      throw toRegistryError(keyOf(question, question.digest), error);
    }
  }

  /**
   * What HEAD asks: whether the repository holds the blob, and its size. Nothing is downloaded.
   * @throws RegistryError
   */
  async head(question: BlobQuestion): Promise<{ outcome: Outcome; size: number | undefined }> {
    const { store, permission, isOffline } = this.#options;
    const { upstream, repository, digest } = question;
    try {
      const size = store.sizeOf(digest);
      if (size !== undefined && permission.holds(upstream.host, repository, digest))
        return { outcome: 'hit', size };
      if (isOffline()) return { outcome: 'hit', size: await this.#offline(question, size) };
      const proof = await this.#prove(question);
      return proof === 'named'
        ? { outcome: 'stale', size }
        : { outcome: size === undefined ? 'miss' : 'hit', size: size ?? proof.size };
    } catch (error) {
      throw toRegistryError(keyOf(question, question.digest), error);
    }
  }

  async #open(question: BlobQuestion): Promise<OpenBlob> {
    const { store, permission, isOffline } = this.#options;
    const { upstream, repository, digest } = question;
    let isHeld = permission.holds(upstream.host, repository, digest);
    let outcome: Outcome = 'hit';
    if (isOffline()) {
      await this.#offline(question, store.sizeOf(digest));
      isHeld = true;
    }
    if (!isHeld && store.sizeOf(digest) !== undefined) {
      outcome = (await this.#prove(question)) === 'named' ? 'stale' : 'hit';
      isHeld = true;
    }
    const stored = isHeld ? await this.#openStored(digest) : undefined;
    if (stored) return { outcome, source: 'store', reader: this.#withFallback(question, stored) };
    if (isOffline()) throw offlineUnknown(keyOf(question, question.digest), 'BLOB_UNKNOWN');
    return await this.#fill(question);
  }

  async #openStored(digest: Digest): Promise<BlobReader | undefined> {
    try {
      return await this.#options.store.open(digest);
    } catch (error) {
      if (error instanceof StorageError) return undefined; // the disk refuses: upstream still has it
      throw error;
    }
  }

  async #offline(question: BlobQuestion, size: number | undefined): Promise<number> {
    const { permission } = this.#options;
    const { upstream, repository, digest } = question;
    const mayRead =
      permission.holds(upstream.host, repository, digest) ||
      permission.isNamed(repositoryOf(question), digest);
    if (size === undefined || !mayRead)
      throw offlineUnknown(keyOf(question, question.digest), 'BLOB_UNKNOWN');
    return size;
  }

  async #fill(question: BlobQuestion): Promise<OpenBlob> {
    const { fills } = this.#options;
    const { upstream, repository, digest } = question;
    this.#absences.check(keyOf(question, question.digest));
    const start = await fills.begin({
      digest,
      origin: { upstream: upstream.host, repository },
      isAboutRepository: (error) => error instanceof UpstreamError && error.reason === 'denied',
      open: async (from, signal) => {
        const download = await upstream.client
          .download(repository, digest, from, signal)
          .catch((error: unknown) => {
            const isRefusal = error instanceof UpstreamError && error.reason === 'bad-answer' && from > 0;
            throw isRefusal ? new PartialRefusedError(error) : error;
          });
        if (download) this.#grant(question);
        return download;
      },
    });
    switch (start.kind) {
      case 'absent':
        throw this.#absent(question);
      case 'stored':
        return await this.#open(question);
      case 'bypass':
        return { outcome: 'bypass', source: 'bypass', reader: await this.#pass(question) };
      case 'fill':
        return await this.#tail(question, start);
    }
  }

  async #tail(
    question: BlobQuestion,
    start: Extract<FillStart, { kind: 'fill' }> & { joined: boolean },
  ): Promise<OpenBlob> {
    const { permission } = this.#options;
    const { upstream, repository, digest } = question;
    // Joining another repository's download is no proof for this one. The reader is taken first: the fill may end
    // while upstream is asked.
    const reader = start.fill.reader();
    try {
      if (!permission.holds(upstream.host, repository, digest)) await this.#prove(question);
    } catch (error) {
      reader.close();
      throw error;
    }
    const noted = start.ended.then((result) => {
      if (result === 'stored') this.#grant(question); // now it can be noted: the content is there
    });
    noted.catch(() => undefined); // unnoted, it is asked for again after a restart
    return {
      outcome: start.joined ? 'coalesced' : 'miss',
      source: 'fill',
      reader: this.#withFallback(question, reader),
      ended: start.ended,
    };
  }

  /** A disk that fails in the middle does not fail its readers: they go on past the store. */
  #withFallback(question: BlobQuestion, reader: BlobReader): BlobReader {
    let current = reader;
    let isPassing = false;
    let isOpen = true;
    return {
      size: reader.size,
      read: async (buffer, position) => {
        try {
          return await current.read(buffer, position);
        } catch (error) {
          if (!(error instanceof StorageError) || isPassing || !isOpen || this.#options.isOffline())
            throw error;
          isPassing = true;
          current.close();
          current = await this.#pass(question);
          if (!isOpen) current.close();
          return await current.read(buffer, position);
        }
      },
      close: () => {
        isOpen = false;
        current.close();
      },
    };
  }

  async #pass(question: BlobQuestion): Promise<BlobReader> {
    const { upstream, repository, digest } = question;
    const abort = new AbortController();
    const download = await upstream.client.download(repository, digest, 0, abort.signal);
    if (!download) throw this.#absent(question);
    this.#grant(question);
    return passingReader(digest, download, () => abort.abort());
  }

  /**
   * Asks upstream whether this repository holds the digest.
   * @returns its word, or `named` where it cannot say and a manifest that the repository holds names the digest
   */
  async #prove(question: BlobQuestion): Promise<{ size: number | undefined } | 'named'> {
    const { permission } = this.#options;
    const { upstream, repository, digest } = question;
    this.#absences.check(keyOf(question, question.digest));
    try {
      const head = await this.#proving.run(keyOf(question, question.digest), () =>
        upstream.client.headBlob(repository, digest),
      ).result;
      if (!head) throw this.#absent(question);
      this.#grant(question);
      return head;
    } catch (error) {
      if (cannotSay(error) && permission.isNamed(repositoryOf(question), digest)) return 'named';
      throw error;
    }
  }

  #grant({ upstream, repository, digest }: BlobQuestion): void {
    this.#options.permission.grant(upstream.host, repository, digest);
  }

  #absent(question: BlobQuestion): Error {
    const error = blobUnknown(keyOf(question, question.digest));
    return this.#absences.remember(keyOf(question, question.digest), error, question.upstream.notFoundTtlMs);
  }
}
