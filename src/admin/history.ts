/** Owns the last hour as the page shows it: what was counted and what was running, every ten seconds, in memory. */
import { sampledCounts, type Totals } from '../totals.ts';

/** Counts are since the start of the daemon: what happened between two samples is their difference. */
export interface HistorySample {
  /** ms since the epoch */
  atMs: number;
  /** requests for manifests and blobs: given without fetching, by fetching, unconfirmed (they are in `hits` too) */
  hits: number;
  fetched: number;
  stale: number;
  /** and not given: because of trouble, or as it is not allowed; what upstream does not have is not among them */
  failed: number;
  /** bytes given to clients */
  storeBytes: number;
  fillBytes: number;
  bypassBytes: number;
  /** bytes received from upstreams */
  fetchedBytes: number;
  /** downloads that run, and who reads from them */
  fills: number;
  readers: number;
  /** bytes on disk */
  usedBytes: number;
}

/** What is told at `/api/history`. */
export interface HistoryDocument {
  intervalMs: number;
  /** the oldest first */
  samples: HistorySample[];
}

export const HISTORY_INTERVAL_MS = 10_000;
const SAMPLES = 3600_000 / HISTORY_INTERVAL_MS + 1;

export interface HistoryOptions {
  totals: Totals;
  /** what is so now */
  running: () => { fills: number; readers: number; usedBytes: number };
  /** ms since the epoch */
  now: () => number;
}

export class History {
  readonly #options: HistoryOptions;
  /** the oldest first; no more than an hour of them */
  readonly #samples: HistorySample[] = [];

  /** The first sample is taken at once: what happens afterwards is seen. */
  constructor(options: HistoryOptions) {
    this.#options = options;
    this.sample();
  }

  /** To be called every `HISTORY_INTERVAL_MS`. */
  sample(): void {
    const { totals, running, now } = this.#options;
    const atMs = now();
    // The clock was set back: what seems to come later would hide all that follows from who asks for what is new.
    while ((this.#samples.at(-1)?.atMs ?? 0) > atMs) this.#samples.pop();
    this.#samples.push({
      atMs,
      ...sampledCounts(totals),
      ...running(),
    });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** @returns what was sampled after `afterMs`, ms since the epoch */
  since(afterMs: number): HistoryDocument {
    return {
      intervalMs: HISTORY_INTERVAL_MS,
      samples: this.#samples.filter(({ atMs }) => atMs > afterMs),
    };
  }
}
