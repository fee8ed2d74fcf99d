/** Owns whether an endpoint is asked at all: what it failed at, and when it may be tried again. */
import { LRUCache } from 'lru-cache';
import type { Repository } from '../oci/reference.ts';
import { type FailureReason, UpstreamError } from './errors.ts';
import { pauseMs } from './retry.ts';

/** `short` where something that is known can be served instead: then waiting is worth less. */
export type Patience = 'short' | 'long';

/** `slow`: it answers, but not while a known tag can wait for it. */
export type EndpointState = 'up' | 'slow' | 'down';

/** What was asked, and by whom. */
export interface Asked {
  kind: 'manifest' | 'blob' | 'tags' | 'referrers';
  repository: Repository;
  /** below the repository */
  path: string;
  patience: Patience;
}

/** What was asked, whoever did. */
export type Answered = Omit<Asked, 'patience'>;

/** How to find out whether an endpoint is back: by its base (`/v2/`), or by something that it should have. */
export type Probe = 'base' | Answered;

export interface CircuitOptions {
  /** until the second new try; 0: failures are not remembered, everything is asked every time */
  probeMs: number;
  /** what answers later than this is `slow` */
  confirmMs: number;
  now: () => number;
}

interface Trouble {
  error: UpstreamError;
  probe: Probe;
  /** tries in vain since it began */
  tries: number;
  untilMs: number;
}

const MAX_PAUSE_MS = 60_000;
const MAX_REMEMBERED = 2_000;
/** One question at which an endpoint fails may be to blame itself; with so many repositories the endpoint is. */
const REPOSITORIES_THAT_MEAN_ALL = 3;

/** Nothing came back. */
const SILENCE: ReadonlySet<FailureReason> = new Set(['dns', 'refused', 'tls', 'reset', 'timeout']);
/** Something in between may do so to one question, and not to others. */
const DOUBTFUL: ReadonlySet<FailureReason> = new Set(['reset', 'timeout']);
/** What came back is not what a registry answers. */
const NONSENSE: ReadonlySet<FailureReason> = new Set(['server-error', 'html', 'token']);

/**
 * Three widths of trouble: an endpoint that is down is not asked for anything, a slow one is not asked for what is
 * known, and what it failed at alone is not asked for again at once. Told of whole questions, with all their
 * attempts: one attempt that fails means nothing. After silence the endpoint's base is looked at right away, and
 * after several questions that failed what it answered last: where that answers, it was the questions.
 */
export class Circuit {
  readonly #options: CircuitOptions;
  #down: Trouble | undefined;
  #slow: Trouble | undefined;
  /** by repository (for those who can do without) and by path (for those who cannot) */
  readonly #narrow = new LRUCache<string, Trouble>({ max: MAX_REMEMBERED });
  readonly #failing = new Set<Repository>();
  /** the latest image that it answered about, to be asked for again */
  #lastAnswered: Answered | undefined;

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

  /** @returns how to find out whether the endpoint is back, undefined while it is not time to */
  due(): Probe | undefined {
    const trouble = this.#down ?? this.#slow;
    return trouble && this.#isOver(trouble) ? trouble.probe : undefined;
  }

  /**
   * Somebody asks for this. Where questions that failed have brought the endpoint down, it is what is tried next:
   * what failed may do so for ever, and nothing else would be asked.
   */
  suggest(asked: Asked): void {
    const trouble = this.#down ?? this.#slow;
    if (!trouble || trouble.probe === 'base' || isList(asked) || this.#hasFailedAt(asked)) return;
    if (this.#hasFailedAt(trouble.probe)) trouble.untilMs = this.#options.now();
    trouble.probe = toAnswered(asked);
  }

  /** @returns why this is not asked now, undefined where it is to be asked */
  refusal(asked: Asked): UpstreamError | undefined {
    const wide = this.#down ?? (asked.patience === 'short' ? this.#slow : undefined);
    if (wide) return this.#remembered(wide);
    const isForRepository = asked.patience === 'short' && !isList(asked);
    const narrow = this.#narrow.get(isForRepository ? asked.repository : pathOf(asked));
    if (!narrow) return undefined;
    if (!this.#isOver(narrow)) return this.#remembered(narrow);
    this.#postpone(narrow); // whoever comes first finds out, the others are told what was before
    return undefined;
  }

  /** It has answered this, whatever it said but that it failed. @param tookMs until the answer's head */
  answered(asked: Answered, tookMs: number): void {
    this.#narrow.delete(asked.repository);
    this.#narrow.delete(pathOf(asked));
    this.#failing.clear();
    if (!isList(asked)) this.#lastAnswered = toAnswered(asked);
    this.found(tookMs);
  }

  /** It is there. @param tookMs how long it took to find out */
  found(tookMs: number): void {
    if (tookMs <= this.#options.confirmMs) this.#slow = undefined;
    else if (this.#down) this.#slow ??= this.#down;
    this.#down = undefined;
  }

  /** A probe has failed. */
  notFound(error: UpstreamError): void {
    if (this.#slow && !this.#down) this.#down = this.#slow;
    this.#slow = undefined;
    if (!this.#down) return;
    this.#down.error = error;
    this.#postpone(this.#down);
  }

  /** A question has failed for good. @param isEndpoint whether the endpoint itself failed, not its token server */
  failed(asked: Asked, error: UpstreamError, isEndpoint: boolean): void {
    if (this.#options.probeMs === 0) return;
    const isSilence = SILENCE.has(error.reason);
    const isSuspect = isSilence ? DOUBTFUL.has(error.reason) || !isEndpoint : NONSENSE.has(error.reason);
    if (isSuspect && this.#suspect(asked, error)) return;
    if (isSilence && isEndpoint) this.#lookAtBase(asked, error);
  }

  #lookAtBase(asked: Asked, error: UpstreamError): void {
    const trouble: Trouble = { error, probe: 'base', tries: 0, untilMs: this.#options.now() };
    if (isImpatience(asked, error)) this.#slow ??= trouble;
    else this.#down ??= trouble;
  }

  /** @returns whether that makes the endpoint itself suspect: then an image is what is tried, its base may answer */
  #suspect(asked: Asked, error: UpstreamError): boolean {
    for (const key of isList(asked) ? [pathOf(asked)] : [asked.repository, pathOf(asked)]) {
      if (!this.#narrow.has(key)) this.#narrow.set(key, this.#begin(asked, error));
    }
    if (isList(asked)) return false;
    this.#failing.add(asked.repository);
    if (this.#failing.size < REPOSITORIES_THAT_MEAN_ALL) return false;
    this.#failing.clear();
    const trouble = this.#begin(asked, error);
    if (this.#lastAnswered && !this.#hasFailedAt(this.#lastAnswered)) {
      trouble.probe = this.#lastAnswered;
      trouble.untilMs = this.#options.now();
    }
    if (isImpatience(asked, error)) this.#slow = trouble;
    else this.#down = trouble;
    return true;
  }

  #begin(asked: Asked, error: UpstreamError): Trouble {
    const trouble = { error, probe: toAnswered(asked), tries: 0, untilMs: 0 };
    this.#postpone(trouble);
    return trouble;
  }

  #hasFailedAt(asked: Answered): boolean {
    return this.#narrow.has(asked.repository) || this.#narrow.has(pathOf(asked));
  }

  /** A pause that is longer than any says that the clock was set back. */
  #isOver({ untilMs }: Trouble): boolean {
    const leftMs = untilMs - this.#options.now();
    return leftMs <= 0 || leftMs > Math.max(this.#options.probeMs, MAX_PAUSE_MS);
  }

  #postpone(trouble: Trouble): void {
    const { probeMs, now } = this.#options;
    trouble.tries += 1;
    const bounds = { firstMs: probeMs, maxMs: Math.max(probeMs, MAX_PAUSE_MS) };
    trouble.untilMs = now() + pauseMs(trouble.tries, Math.random(), bounds);
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

/** It did not answer while a known tag could wait: whoever has nothing else can wait for longer. */
function isImpatience({ patience }: Asked, { reason }: UpstreamError): boolean {
  return patience === 'short' && reason === 'timeout';
}

/** Lists fail where images do not: they take long to make, and some registries have none of one kind. */
function isList({ kind }: Answered): boolean {
  return kind === 'tags' || kind === 'referrers';
}

/** Without what else a question carries: it is kept. */
function toAnswered({ kind, repository, path }: Answered): Answered {
  return { kind, repository, path };
}

function pathOf({ repository, path }: Answered): string {
  return `${repository}/${path}`;
}
