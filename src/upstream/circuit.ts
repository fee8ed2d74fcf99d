/** Owns whether an endpoint is asked at all: what it failed at, and when it may be tried again. */
import { LRUCache } from 'lru-cache';
import type { Repository } from '../oci/reference.ts';
import { type FailureReason, UpstreamError } from './errors.ts';
import { pauseMs } from './retry.ts';

/** `short` where something that is known can be served instead: then waiting is worth less. */
export type Patience = 'short' | 'long';

/** `slow`: it answers, but not while a known tag can wait for it. */
export type EndpointState = 'up' | 'slow' | 'down';

/** What was asked when it failed; a probe asks for it again. */
export interface Asked {
  kind: 'manifest' | 'blob' | 'tags' | 'referrers';
  repository: Repository;
  /** below the repository */
  path: string;
  patience: Patience;
}

export interface CircuitOptions {
  /** until the first new try; 0: failures are not remembered, everything is asked every time */
  probeMs: number;
  /** what answers later than this is `slow` */
  confirmMs: number;
  now: () => number;
}

interface Trouble {
  error: UpstreamError;
  asked: Asked;
  /** in a row */
  failures: number;
  untilMs: number;
}

const MAX_PAUSE_MS = 60_000;
const MAX_REMEMBERED = 2_000;
/** An endpoint that answers 5xx may have trouble with one image alone; with so many repositories it is its own. */
const REPOSITORIES_THAT_MEAN_ALL = 3;

/** It cannot be reached, or says nothing: that is so for whatever is asked. */
const SILENCE: ReadonlySet<FailureReason> = new Set(['dns', 'refused', 'tls', 'reset', 'timeout']);
/** It answers, and not what a registry answers. */
const NONSENSE: ReadonlySet<FailureReason> = new Set(['server-error', 'html', 'token']);

/**
 * Three widths of trouble: an endpoint that is down is not asked for anything, a slow one is not asked for what is
 * known, and what it answered with an error is not asked for again at once. Told of whole questions, with all their
 * attempts; one attempt that fails means nothing.
 */
export class Circuit {
  readonly #options: CircuitOptions;
  #down: Trouble | undefined;
  #slow: Trouble | undefined;
  /** by repository (for those who can do without) and by path (for those who cannot) */
  readonly #narrow = new LRUCache<string, Trouble>({ max: MAX_REMEMBERED });
  readonly #failing = new Set<Repository>();

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  get state(): EndpointState {
    if (this.#down) return 'down';
    return this.#slow ? 'slow' : 'up';
  }

  /** what the endpoint as a whole failed at, undefined while it is up */
  get failure(): UpstreamError | undefined {
    return (this.#down ?? this.#slow)?.error;
  }

  /** @returns what to ask to find out whether the endpoint is back, undefined while that makes no sense */
  due(): Asked | undefined {
    const trouble = this.#down ?? this.#slow;
    return trouble && this.#options.now() >= trouble.untilMs ? trouble.asked : undefined;
  }

  /** @returns why this is not asked now, undefined where it is to be asked */
  refusal(asked: Asked): UpstreamError | undefined {
    const wide = this.#down ?? (asked.patience === 'short' ? this.#slow : undefined);
    if (wide) return this.#remembered(wide);
    const narrow = this.#narrow.get(narrowKey(asked));
    if (!narrow) return undefined;
    const nowMs = this.#options.now();
    if (nowMs < narrow.untilMs) return this.#remembered(narrow);
    // Whoever comes first finds out, the others are told what was before.
    narrow.untilMs = nowMs + this.#pauseMs(narrow.failures);
    return undefined;
  }

  /** The endpoint has answered, whatever it said but that it failed. @param tookMs until the answer's head */
  answered(asked: Omit<Asked, 'patience'>, tookMs: number): void {
    if (this.#down && tookMs > this.#options.confirmMs) this.#slow ??= this.#down;
    if (tookMs <= this.#options.confirmMs) this.#slow = undefined;
    this.#down = undefined;
    this.#failing.clear();
    this.#narrow.delete(asked.repository);
    this.#narrow.delete(pathOf(asked));
  }

  /** A question, or a probe, has failed for good. */
  failed(asked: Asked, error: UpstreamError): void {
    if (this.#options.probeMs === 0) return;
    if (SILENCE.has(error.reason)) {
      if (error.reason === 'timeout' && asked.patience === 'short')
        this.#slow = this.#next(this.#slow, asked, error);
      else this.#down = this.#next(this.#down, asked, error);
    } else if (NONSENSE.has(error.reason)) {
      this.#failing.add(asked.repository);
      if (this.#down || this.#failing.size >= REPOSITORIES_THAT_MEAN_ALL) {
        this.#failing.clear();
        this.#down = this.#next(this.#down, asked, error);
      }
      for (const key of [asked.repository, pathOf(asked)]) {
        this.#narrow.set(key, this.#next(this.#narrow.get(key), asked, error));
      }
    }
  }

  #next(last: Trouble | undefined, asked: Asked, error: UpstreamError): Trouble {
    const nowMs = this.#options.now();
    // Questions that ran at the same time fail at the same thing: that is one failure.
    if (last && nowMs < last.untilMs) return last;
    const failures = (last?.failures ?? 0) + 1;
    return { error, asked, failures, untilMs: nowMs + this.#pauseMs(failures) };
  }

  #pauseMs(failures: number): number {
    const { probeMs } = this.#options;
    return pauseMs(failures, Math.random(), { firstMs: probeMs, maxMs: Math.max(probeMs, MAX_PAUSE_MS) });
  }

  #remembered({ error, untilMs }: Trouble): UpstreamError {
    const { reason, host, status, message } = error;
    return new UpstreamError(message, {
      reason,
      host,
      ...(status !== undefined && { status }),
      retryAfterMs: Math.max(1, untilMs - this.#options.now()),
      isFromMemory: true,
    });
  }
}

function narrowKey(asked: Asked): string {
  return asked.patience === 'short' ? asked.repository : pathOf(asked);
}

function pathOf({ repository, path }: Pick<Asked, 'repository' | 'path'>): string {
  return `${repository}/${path}`;
}
