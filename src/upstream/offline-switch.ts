/** Owns whether anything outside may be asked at all: one switch for all upstreams, turned while hubcap runs. */
import { UpstreamError } from './errors.ts';

/**
 * Offline, nothing new is asked: no registry, token server, CDN or credential helper. What has begun to answer may go
 * on to its end; what waits for an answer, or for the next attempt, is given up at once.
 */
export class OfflineSwitch {
  readonly #changed: (isOffline: boolean) => void;
  readonly #waiting = new Set<() => void>();
  readonly #givenUp = new Set<() => void>();
  #isOffline: boolean;

  /** @param changed told when it is turned, not what it is at first */
  constructor(isOffline: boolean, changed: (isOffline: boolean) => void = () => undefined) {
    this.#isOffline = isOffline;
    this.#changed = changed;
  }

  /** Can be handed on by itself. */
  readonly isOffline = (): boolean => this.#isOffline;

  /** Turns it, until the daemon ends or it is turned again. @returns whether that changed anything */
  set(isOffline: boolean): boolean {
    if (isOffline === this.#isOffline) return false;
    this.#isOffline = isOffline;
    this.#changed(isOffline);
    const told = isOffline ? this.#waiting : this.#givenUp;
    for (const tell of [...told]) tell();
    return true;
  }

  /** @param host who would be asked. @throws UpstreamError while it is offline */
  refuse(host: string): void {
    if (this.#isOffline) throw offlineFailure(host);
  }

  /**
   * For who waits for somebody outside.
   * @param giveUp called each time it is turned to offline, until the returned function is called
   */
  whenOffline(giveUp: () => void): () => void {
    this.#waiting.add(giveUp);
    return () => {
      this.#waiting.delete(giveUp);
    };
  }

  /**
   * For who has given up.
   * @param goOn called each time it is turned to online, until the returned function is called
   */
  whenOnline(goOn: () => void): () => void {
    this.#givenUp.add(goOn);
    return () => {
      this.#givenUp.delete(goOn);
    };
  }
}

/** @param host who is not asked */
export function offlineFailure(host: string): UpstreamError {
  return new UpstreamError(`hubcap is offline: ${host} is not asked`, { reason: 'offline', host });
}
