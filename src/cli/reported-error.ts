/** Owns the failures that a user can mend: shown without a stack. */

export class ReportedError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ReportedError';
  }
}
