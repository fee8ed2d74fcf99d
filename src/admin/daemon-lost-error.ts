/** Owns the error of a daemon that ended, or gave up, while it was answering. */

/** What was asked for may or may not have been done; its log says why. */
export class DaemonLostError extends Error {
  constructor(cause?: unknown) {
    super('hubcap ended its answer early: see its log', { cause });
    this.name = 'DaemonLostError';
  }
}
