/** Owns the error that says why a list of images cannot be used: all of it, with file and line. */

/** More than these are counted, not shown. */
const MAX_SHOWN = 100;

/** A list cannot be used as a whole. Its message has every problem on a line of its own. */
export class ListError extends Error {
  /** `compose.yaml:12: what is wrong; what to do` */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const more = problems.length - MAX_SHOWN;
    super([...problems.slice(0, MAX_SHOWN), ...(more > 0 ? [`and ${more} more problems`] : [])].join('\n'));
    this.name = 'ListError';
    this.problems = problems;
  }
}
