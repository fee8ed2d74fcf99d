/** Owns the count of files that no row vouches for yet: they take room on disk before they are proven. */
import type { Digest } from '../oci/digest.ts';
import { type Ledger, sizeOnDisk } from './ledger.ts';

/** One sum per directory of the store, so that memory does not grow with the store. */
export class Unproven {
  readonly #ledger: Ledger;
  readonly #bytes = new Map<string, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** Notes a file and its size. */
  count(digest: Digest, size: number): void {
    const prefix = prefixOf(digest);
    this.#bytes.set(prefix, (this.#bytes.get(prefix) ?? 0) + sizeOnDisk(size));
    this.#ledger.found(size);
  }

  /** The file has been judged: it is counted as what it is from now on. */
  settle(digest: Digest, size: number): void {
    const prefix = prefixOf(digest);
    const counted = this.#bytes.get(prefix) ?? 0;
    const settled = Math.min(counted, sizeOnDisk(size));
    this.#bytes.set(prefix, counted - settled);
    this.#ledger.lost(settled);
  }

  /** All files of the directory have been judged. @param prefix `sha256:ab` */
  close(prefix: string): void {
    this.#ledger.lost(this.#bytes.get(prefix) ?? 0);
    this.#bytes.delete(prefix);
  }
}

function prefixOf(digest: Digest): string {
  return digest.slice(0, 'sha256:ab'.length);
}
