/** Owns the failures that a user can mend: shown without a stack. */

export class ReportedError extends Error {
  readonly kind: 'failure' | 'configuration';

  /** @param kind what the exit code tells */
  constructor(message: string, cause?: unknown, kind: ReportedError['kind'] = 'failure') {
    super(message, { cause });
    this.name = 'ReportedError';
    this.kind = kind;
  }
}
