/** Owns the bound on what the images of one archive may name: small indexes can name the same content over and over. */
import { ArchiveError } from './archive-error.ts';

/** Of all images and indexes together; five thousand images of a hundred layers name half of that. */
const MAX_CONTENTS = 1_000_000;

export class WalkLimit {
  #left: number;

  constructor(max: number = MAX_CONTENTS) {
    this.#left = max;
  }

  /**
   * @param count how many contents are about to be remembered
   * @throws ArchiveError where they are too many
   */
  spend(count: number): void {
    this.#left -= count;
    if (this.#left < 0)
      throw new ArchiveError(
        'the images of the archive name more content than can be looked through; split the archive',
      );
  }
}
