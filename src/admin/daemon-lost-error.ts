/** Owns the error of a daemon that ended, gave up, or is silent, while it was to answer. */

const ENDED =
  'hubcap ended its answer early: it was stopped, or its log says why; the command can be given again';

/** What was asked for may or may not have been done; its log says why. */
export class DaemonLostError extends Error {
  constructor(cause?: unknown, message = ENDED) {
    super(message, { cause });
    this.name = 'DaemonLostError';
  }
}
