/** Owns what is said about an archive that was taken in, beside its images: bounded, as strangers write archives. */
import { printable } from './archive-error.ts';

const MAX_NOTES = 100;

export class Notes {
  readonly #lines: string[] = [];
  #more = 0;

  add(line: string): void {
    if (this.#lines.length < MAX_NOTES) this.#lines.push(line);
    else this.#more += 1;
  }

  addLeftOut(path: string, size: number): void {
    this.add(`${printable(path)} (${size} bytes) is no part of an image; it was left out`);
  }

  lines(): string[] {
    return this.#more === 0 ? [...this.#lines] : [...this.#lines, `and ${this.#more} more of this kind`];
  }
}
