/** Owns the bounds on what the images of one archive may name and have read: small indexes can name the same over and over. */
import { ArchiveError } from './archive-error.ts';

/** Of all images and indexes together. All of them get their names in one transaction, 60 µs each. */
const MAX_CONTENTS = 200_000;
/** Of manifests and configurations, each as often as it is read: ten seconds of reading. */
const MAX_READ_BYTES = 256 * 1024 * 1024;

export class WalkLimit {
  #left: number;
  #leftBytes = MAX_READ_BYTES;

  constructor(max: number = MAX_CONTENTS) {
    this.#left = max;
  }

  /**
   * @param count how many contents are about to be remembered
   * @throws ArchiveError where they are too many
   */
  spend(count: number): void {
    this.#left -= count;
    if (this.#left < 0) throw tooMuch();
  }

  /**
   * @param bytes of a document that is about to be read
   * @throws ArchiveError where they are too many
   */
  read(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes < 0) throw tooMuch();
  }
}

function tooMuch(): ArchiveError {
  return new ArchiveError(
    'the images of the archive name more content than can be looked through; split the archive',
  );
}
