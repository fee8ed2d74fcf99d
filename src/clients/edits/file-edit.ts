/** Owns what an edit of one file of a client is, and why one is not made. */

/** Puts ours into the text of one file and takes it out again. Texts have no byte order mark. */
export interface FileEdit {
  /** as the client names it: absolute */
  path: string;
  /**
   * @param text undefined where there is no file
   * @returns the text with ours in it; the very same where it is there already
   * @throws UneditableError
   */
  add(text: string | undefined): string;
  /**
   * @param before the text from before ours was put in; what is in it is not ours. undefined where that is not known
   * @returns the text without ours
   * @throws UneditableError
   */
  remove(text: string, before: string | undefined): string;
  /** @returns whether the mirror is in the text @throws UneditableError */
  has(text: string): boolean;
  /** @returns whether a file with that text might as well not be there */
  isNothing(text: string): boolean;
  /** @returns what the text means, to be compared @throws UneditableError */
  read(text: string): unknown;
}

/** The file is left as it is: it cannot be read, or hubcap does not know how to change it. */
export class UneditableError extends Error {
  /** undefined where it is not known yet */
  readonly path: string | undefined;
  readonly #what: string;
  readonly #place: { line: number; column: number } | undefined;

  constructor(what: string, place?: { line: number; column: number }, path?: string) {
    const where = [path, place?.line, place?.column].filter((part) => part !== undefined).join(':');
    super(where === '' ? what : `${where}: ${what}`);
    this.name = 'UneditableError';
    this.path = path;
    this.#what = what;
    this.#place = place;
  }

  /** @returns the same with the path of the file */
  in(path: string): UneditableError {
    return new UneditableError(this.#what, this.#place, path);
  }
}
