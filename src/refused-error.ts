/** Owns the refusal of what a command asks for, in the daemon as in the command's own process. */

/** It is not done, and nothing was changed; the message says why and what to do. */
export class RefusedError extends Error {
  /** as HTTP has it: 400 not understood, 404 not there, 409 not now */
  readonly status: number;

  constructor(status: 400 | 404 | 409, message: string) {
    super(message);
    this.name = 'RefusedError';
    this.status = status;
  }
}
