/** Owns what counts as stored: the rows, the ledger and the number of objects, kept in step. */
import type { Digest } from '../oci/digest.ts';
import type { ContentIndex } from './content-index.ts';
import { type Ledger, sizeOnDisk } from './ledger.ts';

/** A row means that the content was proven to be what its digest says. Changed in the digest's turn alone. */
export class Stock {
  readonly #index: ContentIndex;
  readonly #ledger: Ledger;
  #objects: number;

  constructor(index: ContentIndex, ledger: Ledger) {
    this.#index = index;
    this.#ledger = ledger;
    const { objects, bytes } = index.totals(sizeOnDisk(1));
    ledger.found(bytes);
    this.#objects = objects;
  }

  get objects(): number {
    return this.#objects;
  }

  /** @returns the bytes of stored content, undefined where it is not stored */
  sizeOf(digest: Digest): number | undefined {
    return this.#index.sizeOf(digest);
  }

  /** Notes a file that is in its place and proven. @throws what the catalog says */
  add(digest: Digest, size: number, nowMs: number): void {
    const known = this.#index.sizeOf(digest);
    if (known === size) return;
    this.#index.add({ digest, size }, nowMs);
    if (known === undefined) this.#objects += 1;
    else this.#ledger.lost(known);
    this.#ledger.found(size);
  }

  /**
   * Forgets content, with all that is known only through it, once `clear` has dealt with its file: on a full disk
   * the catalog can note nothing before there is room again.
   * @throws what `clear` and the catalog say; the content then counts as it did
   */
  async remove(digest: Digest, size: number, clear: () => Promise<unknown>): Promise<void> {
    this.#ledger.deleting(size);
    try {
      await clear();
      this.#index.remove(digest);
    } catch (error) {
      this.#ledger.found(size);
      throw error;
    } finally {
      this.#ledger.deleted(size);
    }
    this.#objects -= 1;
  }
}
