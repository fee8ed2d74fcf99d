/** Owns what is gathered while a list is read: its images, notes and problems, each with its line. */
import { parseFullName } from '../../oci/image-name.ts';
import type { PlatformChoice } from '../../oci/platform.ts';
import type { WantedImage } from '../wanted-image.ts';
import { ListError } from './list-error.ts';
import { faultOfReference, quoted } from './references.ts';

/** More are a mistake or an attack: no list of images that people keep is a tenth of it. */
const MAX_FOUND = 100_000;
/** Whoever corrects a list starts at its top. */
const MAX_PROBLEMS = 1000;

/** Gathers for one list. Readers go on after a problem, so that one run shows all of them. */
export class Findings {
  readonly images: WantedImage[] = [];
  readonly notes: string[] = [];
  /** Each once: what an anchor has is met wherever an alias names it. */
  readonly #problems = new Set<string>();
  readonly #name: string;

  /** @param name of the list, as messages show it */
  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Takes a reference in, or the problem that it is none.
   * @param line counted from 1
   */
  addImage(line: number, text: string, platforms?: PlatformChoice): void {
    const name = parseFullName(text);
    if (name) this.images.push({ name, platforms, at: this.#at(line) });
    else this.addProblem(line, faultOfReference(text));
    this.#checkCount();
  }

  /** Notes what was understood and holds no image to fetch. */
  addNote(line: number, text: string): void {
    this.notes.push(`${this.#at(line)}: ${text}`);
    this.#checkCount();
  }

  /** @throws ListError where there are too many to go on */
  addProblem(line: number, text: string): void {
    this.#problems.add(`${this.#at(line)}: ${text}`);
    if (this.#problems.size >= MAX_PROBLEMS) this.check();
  }

  get hasProblems(): boolean {
    return this.#problems.size > 0;
  }

  /** @throws ListError with this problem, which explains those that were found, and the first of these */
  failWith(line: number, text: string): never {
    throw new ListError([`${this.#at(line)}: ${text}`, ...this.#problems.values().take(1)]);
  }

  /** @throws ListError where there was any problem */
  check(): void {
    if (this.hasProblems) throw new ListError([...this.#problems]);
  }

  #checkCount(): void {
    if (this.images.length + this.notes.length <= MAX_FOUND) return;
    throw new ListError([
      `${this.#name}: more than ${MAX_FOUND} images and notes; split the list into several files`,
    ]);
  }

  #at(line: number): string {
    return `${this.#name}:${line}`;
  }
}

/** @returns the problem of text that was to be a platform */
export function faultOfPlatform(text: string): string {
  return `${quoted(text)} is no platform; write it as linux/amd64 or linux/arm64/v8`;
}
