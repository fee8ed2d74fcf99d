/** Owns the contract for reading content, whether it is stored, still filling, or never stored. */

export interface BlobReader {
  /** bytes in all; undefined while upstream has not said */
  readonly size: number | undefined;
  /**
   * Reads from `position` into `buffer`, waiting where the content is still on its way. An empty buffer only waits.
   * @returns how many bytes were read; 0 at the end of content that is proven to be what its digest says
   * @throws what made the content unreadable: the caller must not end its response as if it were complete
   */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Says that nothing before `position` will be read. */
  skipTo?(position: number): void;
  /** Ends the reading; a `read` that waits ends too. Safe to call twice. */
  close(): void;
}
