/** Owns the Prometheus metrics: their names, helps, labels. No repository, tag, digest or client is a label. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Outcome, RequestKind } from './outcome.ts';
import { emptyTotals, type Source, type Totals } from './totals.ts';

/** What is read at each scrape; each must cost the same however much is stored. */
export interface Gauges {
  storeBytes(): number;
  storeMaxBytes(): number;
  storeReservedBytes(): number;
  storeObjects(): number;
  pinnedBytes(): number;
  pins(): number;
  storeWritable(): boolean;
  offline(): boolean;
  missesListed(): number;
  fillsInFlight(): number;
  fillReaders(): number;
  /** of the running download that waits longest for a byte, s; 0 where none runs */
  fillIdleS(): number;
}

/** What upstream is not asked, and for how long still. */
export interface UpstreamRest {
  upstream: string;
  /** empty where it is about all of them */
  account: string;
  /** `pulls`: its pull limit was met; `requests`: the limit on requests; `rejected`: its login is refused */
  reason: 'pulls' | 'requests' | 'rejected';
  seconds: number;
}

const FIRST_BYTE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** From what was hardly used to what nobody has wanted for half a year, s. */
const IDLE_BUCKETS = [60, 600, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400, 180 * 86_400];

export class Metrics {
  readonly registry = new Registry();
  /** what the status tells */
  readonly totals: Totals = emptyTotals();
  readonly upstreamRequests: Counter<'upstream' | 'kind' | 'status'>;
  readonly #upstreamBytes: Counter<'upstream'>;
  readonly upstreamDuration: Histogram<'upstream' | 'kind'>;
  readonly upstreamUp: Gauge<'upstream'>;
  readonly upstreamFailures: Counter<'upstream' | 'reason'>;
  readonly endpointUp: Gauge<'upstream' | 'endpoint'>;
  readonly rateLimitLimit: Gauge<'upstream' | 'account'>;
  readonly rateLimitRemaining: Gauge<'upstream' | 'account'>;
  readonly fills: Counter<'result'>;
  readonly fillResumes: Counter;
  readonly fillDiscards: Counter;
  readonly evictions: Counter<'reason'>;
  readonly evictedBytes: Counter;
  readonly evictedIdle: Histogram;
  readonly tokens: Counter<'upstream' | 'result'>;
  readonly misses: Counter<'upstream' | 'reason'>;
  readonly storageErrors: Counter;
  readonly scrubbedBytes: Counter;
  readonly storeFindings: Counter<'kind'>;
  readonly prewarmRuns: Counter<'result'>;
  readonly prewarmImages: Counter<'result'>;
  readonly prewarmBytes: Counter;
  readonly #configReloads: Counter<'result'>;
  readonly #configSuccessful: Gauge;
  readonly #configLoadedAt: Gauge;
  readonly #requests: Counter<'upstream' | 'kind' | 'outcome'>;
  readonly #requestDuration: Histogram<'kind' | 'outcome'>;
  readonly #servedBytes: Counter<'upstream' | 'source'>;
  readonly #requestCells = new Map<string, { count: () => void; observe: (seconds: number) => void }>();

  constructor(version: string) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `hubcap_${name}`, help, labelNames, registers });
    const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Gauge({ name: `hubcap_${name}`, help, labelNames, registers });
    const histogram = <L extends string>(
      name: string,
      help: string,
      labelNames: L[],
      buckets: number[] = FIRST_BYTE_BUCKETS,
    ) => new Histogram({ name: `hubcap_${name}`, help, labelNames, buckets: buckets, registers });

    this.#requests = counter('requests_total', 'Requests answered, by outcome.', [
      'upstream',
      'kind',
      'outcome',
    ]);
    this.#requestDuration = histogram('request_duration_seconds', 'Time to the first byte of an answer.', [
      'kind',
      'outcome',
    ]);
    this.#servedBytes = counter(
      'served_bytes_total',
      'Bytes of content given to clients, by where they came from.',
      ['upstream', 'source'],
    );
    this.upstreamRequests = counter(
      'upstream_requests_total',
      'Requests made to a registry, by status; none is no answer.',
      ['upstream', 'kind', 'status'],
    );
    this.#upstreamBytes = counter('upstream_bytes_total', 'Bytes of content received from an upstream.', [
      'upstream',
    ]);
    this.upstreamDuration = histogram(
      'upstream_request_duration_seconds',
      "Time to the head of a registry's answer.",
      ['upstream', 'kind'],
    );
    this.upstreamUp = gauge(
      'upstream_up',
      'Whether the last question to the upstream was answered, by whichever of its addresses.',
      ['upstream'],
    );
    this.upstreamFailures = counter(
      'upstream_failures_total',
      'Questions to an upstream that failed with all their attempts, by reason.',
      ['upstream', 'reason'],
    );
    this.endpointUp = gauge(
      'upstream_endpoint_up',
      'Whether an address of an upstream is asked; 0 while it is left alone because it failed.',
      ['upstream', 'endpoint'],
    );
    this.rateLimitLimit = gauge('upstream_ratelimit_limit', 'Pulls that the upstream allows in its window.', [
      'upstream',
      'account',
    ]);
    this.rateLimitRemaining = gauge(
      'upstream_ratelimit_remaining',
      'Pulls that the upstream still allows in its window.',
      ['upstream', 'account'],
    );
    this.fills = counter('fills_total', 'Downloads that ended, by result.', ['result']);
    this.fillResumes = counter(
      'fill_resumes_total',
      'Downloads that went on after their connection broke.',
      [],
    );
    this.fillDiscards = counter(
      'fill_discards_total',
      'Downloads thrown away because their content was wrong; each is tried once more.',
      [],
    );
    this.evictions = counter('evictions_total', 'Blobs removed from the store, by reason.', ['reason']);
    this.evictedBytes = counter('evicted_bytes_total', 'Bytes of the blobs removed from the store.', []);
    this.evictedIdle = histogram(
      'evicted_idle_seconds',
      'How long nobody had wanted what was evicted, because of the budget or the free space.',
      [],
      IDLE_BUCKETS,
    );
    this.tokens = counter('tokens_total', 'Tokens asked for, by result.', ['upstream', 'result']);
    this.misses = counter(
      'misses_total',
      'Requests for what could not be given, by reason: absent, denied, offline, throttled, unavailable.',
      ['upstream', 'reason'],
    );
    this.storageErrors = counter('storage_errors_total', 'Times that the disk refused.', []);
    this.scrubbedBytes = counter(
      'scrubbed_bytes_total',
      'Bytes of stored content hashed again in the background.',
      [],
    );
    this.storeFindings = counter('store_findings_total', 'What was found wrong in the store, by kind.', [
      'kind',
    ]);
    this.prewarmRuns = counter('prewarm_runs_total', 'Runs of schedules, by result: done, failed.', [
      'result',
    ]);
    this.prewarmImages = counter(
      'prewarm_images_total',
      'Images that schedules fetched, or found here, by result: done, failed.',
      ['result'],
    );
    for (const result of ['done', 'failed']) {
      this.prewarmRuns.inc({ result }, 0);
      this.prewarmImages.inc({ result }, 0);
    }
    this.prewarmBytes = counter('prewarm_bytes_total', 'Bytes that schedules fetched.', []);
    this.#configReloads = counter('config_reloads_total', 'Configurations read again, by result.', [
      'result',
    ]);
    for (const result of ['success', 'failure']) this.#configReloads.inc({ result }, 0);
    this.#configSuccessful = gauge(
      'config_last_reload_successful',
      'Whether the configuration that was read last could be used.',
      [],
    );
    this.#configLoadedAt = gauge(
      'config_loaded_timestamp_seconds',
      'When the configuration in use was loaded.',
      [],
    );
    gauge('build_info', 'The version that runs.', ['version']).set({ version }, 1);
  }

  /** Counts one request. @param firstByteS seconds until the first byte */
  request(upstream: string, kind: RequestKind, outcome: Outcome, firstByteS: number): void {
    const key = `${upstream} ${kind} ${outcome}`;
    let cell = this.#requestCells.get(key);
    if (!cell) {
      const count = this.#requests.labels(upstream, kind, outcome);
      const duration = this.#requestDuration.labels(kind, outcome);
      cell = { count: () => count.inc(), observe: (seconds) => duration.observe(seconds) };
      this.#requestCells.set(key, cell);
    }
    cell.count();
    cell.observe(firstByteS);
    if (kind === 'manifest' || kind === 'blob') this.totals.requests[outcome] += 1;
  }

  /** The configuration in use was loaded at the start. */
  configLoaded(nowMs: number): void {
    this.#configSuccessful.set(1);
    this.#configLoadedAt.set(nowMs / 1000);
  }

  /** The configuration was read again. */
  configReloaded(isUsed: boolean, nowMs: number): void {
    this.#configReloads.inc({ result: isUsed ? 'success' : 'failure' });
    if (isUsed) this.configLoaded(nowMs);
    else this.#configSuccessful.set(0);
  }

  /** Counts bytes given to a client. */
  served(upstream: string, source: Source, bytes: number): void {
    if (bytes <= 0) return;
    this.#servedBytes.inc({ upstream, source }, bytes);
    this.totals.servedBytes[source] += bytes;
  }

  /** @returns what counts bytes of content from an upstream */
  receivedFrom(upstream: string): (bytes: number) => void {
    const counted = this.#upstreamBytes.labels(upstream);
    return (bytes) => {
      counted.inc(bytes);
      this.totals.fetchedBytes += bytes;
    };
  }

  /** Has what rests read at each scrape; what is over is not told any more. */
  watchRests(rests: () => Iterable<UpstreamRest>): void {
    new Gauge({
      name: 'hubcap_upstream_resting_seconds',
      help: 'Until an upstream is asked again by an account (by all, where it has no name), by why it is not.',
      labelNames: ['upstream', 'account', 'reason'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { seconds, ...labels } of rests()) this.set({ ...labels }, seconds);
      },
    });
  }

  /** Has the times of schedules read at each scrape; a list that is gone is not told any more. */
  watchSchedules(successes: () => Iterable<{ list: string; atMs: number }>): void {
    new Gauge({
      name: 'hubcap_prewarm_last_success_timestamp_seconds',
      help: 'When all that the list of a schedule names was last fetched, or found here, since the start.',
      labelNames: ['list'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { list, atMs } of successes()) this.set({ list }, atMs / 1000);
      },
    });
  }

  /** Has the gauges read at each scrape. */
  watch(gauges: Gauges): void {
    const read = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name: `hubcap_${name}`,
        help,
        registers: [this.registry],
        collect() {
          this.set(value());
        },
      });
    };
    read('store_bytes', 'Bytes that stored content takes on disk.', gauges.storeBytes);
    read('store_max_bytes', 'The byte budget of the store.', gauges.storeMaxBytes);
    read('store_reserved_bytes', 'Bytes set aside for running downloads.', gauges.storeReservedBytes);
    read('store_objects', 'Blobs and manifests in the store.', gauges.storeObjects);
    read(
      'store_pinned_bytes',
      'Bytes on disk of all that is pinned, once it is all here; of store_max_bytes at most.',
      gauges.pinnedBytes,
    );
    read('pins', 'References that are pinned.', gauges.pins);
    read('store_writable', 'Whether the disk takes new content.', () => (gauges.storeWritable() ? 1 : 0));
    read('offline', 'Whether nobody is asked, as the configuration or a command wants it.', () =>
      gauges.offline() ? 1 : 0,
    );
    read('misses_listed', 'Lines of the miss list, as of its last write.', gauges.missesListed);
    read('fills_in_flight', 'Downloads that run.', gauges.fillsInFlight);
    read('fill_readers', 'Clients that read from running downloads.', gauges.fillReaders);
    read(
      'fill_idle_seconds',
      'Since when the running download that waits longest has got no byte; 0 where none runs.',
      gauges.fillIdleS,
    );
  }
}
