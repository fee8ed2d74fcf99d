/** Owns the open files of stored content: one descriptor per digest, whatever the number of its readers. */
import type { FileHandle } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import type { RegularFile } from './hash-file.ts';

/** A share in an open file. */
export interface Lease extends RegularFile {
  /** Once; the file is closed with its last share. */
  release(): void;
}

interface Shared {
  opening: Promise<RegularFile | undefined>;
  shares: number;
  /** what it costs on disk once it is gone from the store: see `orphanedBytes` */
  orphanedBytes: number;
}

/** An entry lives from the first question until the last share is given back, or until its file is forgotten. */
export class OpenFiles {
  readonly #shared = new Map<Digest, Shared>();
  #orphanedBytes = 0;

  /** bytes of files that are gone from the store and come free when their readers have ended */
  get orphanedBytes(): number {
    return this.#orphanedBytes;
  }

  /**
   * Takes a share in the digest's file; `open` is called where nobody has it open, once for all who ask meanwhile.
   * @returns undefined where `open` finds nothing
   * @throws what `open` throws
   */
  async lease(digest: Digest, open: () => Promise<RegularFile | undefined>): Promise<Lease | undefined> {
    let shared = this.#shared.get(digest);
    if (!shared) {
      shared = { opening: open(), shares: 0, orphanedBytes: 0 };
      this.#shared.set(digest, shared);
    }
    shared.shares += 1;
    try {
      const opened = await shared.opening;
      if (opened) return { ...opened, release: () => this.#release(digest, shared, opened.file) };
    } catch (error) {
      this.#release(digest, shared, undefined);
      throw error;
    }
    this.#release(digest, shared, undefined);
    return undefined;
  }

  /**
   * The digest's file is gone or replaced: who reads it reads on, who asks next gets what is there then.
   * @param bytes on disk that come free with the last reader
   */
  forget(digest: Digest, bytes: number): void {
    const shared = this.#shared.get(digest);
    if (!shared) return;
    this.#shared.delete(digest);
    shared.orphanedBytes = bytes;
    this.#orphanedBytes += bytes;
  }

  #release(digest: Digest, shared: Shared, file: FileHandle | undefined): void {
    shared.shares -= 1;
    if (shared.shares > 0) return;
    if (this.#shared.get(digest) === shared) this.#shared.delete(digest);
    this.#orphanedBytes -= shared.orphanedBytes;
    file?.close().catch(() => undefined); // waits for running reads; a failure loses nothing that anyone uses
  }
}
