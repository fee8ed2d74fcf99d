/** Owns what makes a partial file worth something after power loss: the word of how much of it is surely on disk. */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import { StorageError } from './errors.ts';
import type { FillOrigin, Partials } from './partials.ts';

export interface SyncedNotesOptions {
  digest: Digest;
  origin: FillOrigin;
  /** of the fill */
  file: FileHandle;
  partials: Partials;
  /** told when a note cannot be written; the fill goes on without */
  failed: (error: unknown) => void;
}

/** What power loss may cost; also what the disk is given to do at once when the content is complete. */
const SYNC_EVERY_BYTES = 32 * 1024 * 1024;
/** Smaller content is not noted: it is fetched again. */
const NOTE_FROM_BYTES = 1024 * 1024;

/** Syncs the file of a fill from time to time, beside the writing, and notes how far. */
export class SyncedNotes {
  readonly #options: SyncedNotesOptions;
  #isWorthIt = false;
  #written = 0;
  /** up to where a sync was asked for */
  #asked = 0;
  #failure: StorageError | undefined;
  /** what is under way, one after the other; never rejects */
  #work: Promise<void> = Promise.resolve();

  constructor(options: SyncedNotesOptions) {
    this.#options = options;
  }

  /** @param found bytes that are in the file, synced or not @param size of the whole, where it is known */
  begin(found: number, size: number | undefined): void {
    this.#written = found;
    this.#isWorthIt = size !== undefined && size > NOTE_FROM_BYTES;
    this.#asked = found;
    this.#enqueue(() => (found > 0 ? this.#sync(found) : this.#note(0)));
  }

  /** @param bytes less than 0 where the file begins anew */
  wrote(bytes: number): void {
    this.#written += bytes;
    if (bytes < 0) {
      this.#asked = 0;
      this.#enqueue(() => this.#note(0));
    } else if (this.#written - this.#asked >= SYNC_EVERY_BYTES) {
      const upTo = this.#written;
      this.#asked = upTo;
      this.#enqueue(() => this.#sync(upTo));
    }
  }

  /**
   * Resolves when nothing is under way any more.
   * @throws StorageError where a sync has failed: the next one would not say so again, and the content may be lost
   */
  async end(): Promise<void> {
    await this.#work;
    if (this.#failure) throw this.#failure;
  }

  #enqueue(work: () => Promise<void>): void {
    if (this.#isWorthIt) this.#work = this.#work.then(work);
  }

  async #sync(upTo: number): Promise<void> {
    try {
      await this.#options.file.datasync();
      await this.#note(upTo);
    } catch (error) {
      this.#failure ??= new StorageError('syncing a fill', error);
    }
  }

  async #note(syncedBytes: number): Promise<void> {
    const { partials, digest, origin, failed } = this.#options;
    await partials.note(digest, origin, syncedBytes).catch(failed);
  }
}
