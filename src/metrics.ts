/** Owns the Prometheus metrics that are counted: their names, helps, labels. No repository, tag, digest or client is a label. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { OUTCOMES, type Outcome, type RequestKind } from './outcome.ts';
import { emptyTotals, SOURCES, type Source, type Totals } from './totals.ts';

const FIRST_BYTE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** From what was hardly used to what nobody has wanted for half a year, s. */
const IDLE_BUCKETS = [60, 600, 3600, 6 * 3600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400, 180 * 86_400];
/** Gauges whose names are those of counters; their sums over `type` say the same. */
const MISNAMED = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
];

/** Of requests that name no upstream that is configured. */
const NO_UPSTREAM = 'none';
const COUNTED_KINDS: readonly RequestKind[] = ['manifest', 'blob'];
const RUN_RESULTS = ['done', 'failed'] as const;

export class Metrics {
  readonly registry = new Registry();
  /** what the status tells */
  readonly totals: Totals = emptyTotals();
  readonly #make = makersFor(this.registry);
  readonly #requests = this.#make.counter(
    'requests_total',
    'Requests answered, by outcome; upstream none where a request names no configured one.',
    ['upstream', 'kind', 'outcome'],
  );
  readonly #requestDuration = this.#make.histogram(
    'request_duration_seconds',
    'Time to the first byte of an answer.',
    ['kind', 'outcome'],
    FIRST_BYTE_BUCKETS,
  );
  readonly #servedBytes = this.#make.counter(
    'served_bytes_total',
    'Bytes of manifests and blobs given to clients, by where they came from: store, fill, bypass.',
    ['upstream', 'source'],
  );
  readonly upstreamRequests = this.#make.counter(
    'upstream_requests_total',
    'Requests made to a registry, by status; none is no answer, other a status that is not registered.',
    ['upstream', 'kind', 'status'],
  );
  readonly #upstreamBytes = this.#make.counter(
    'upstream_bytes_total',
    'Bytes of content received from an upstream, whoever they were for.',
    ['upstream'],
  );
  readonly upstreamDuration = this.#make.histogram(
    'upstream_request_duration_seconds',
    "Time to the head of a registry's answer, or until there was none.",
    ['upstream', 'kind'],
    FIRST_BYTE_BUCKETS,
  );
  readonly upstreamUp = this.#make.gauge(
    'upstream_up',
    '0 where the last question to the upstream was answered by none of its addresses, 1 else and before the first.',
    ['upstream'],
  );
  readonly upstreamFailures = this.#make.counter(
    'upstream_failures_total',
    'Questions to an upstream that failed with all their attempts, by reason.',
    ['upstream', 'reason'],
  );
  readonly endpointUp = this.#make.gauge(
    'upstream_endpoint_up',
    'Whether an address of an upstream is asked; 0 while it is left alone because it failed.',
    ['upstream', 'endpoint'],
  );
  readonly fills = this.#make.counter(
    'fills_total',
    'Downloads that ended, by result: stored; passed, left (went past the store, to the end or until nobody read ' +
      'on); unstored (the disk refused), mismatch (wrong content), failed, stopped.',
    ['result'],
  );
  readonly fillResumes = this.#make.counter(
    'fill_resumes_total',
    'Times that a download went on after its connection broke.',
    [],
  );
  readonly fillDiscards = this.#make.counter(
    'fill_discards_total',
    'Downloads thrown away because their content was wrong; each is tried once more.',
    [],
  );
  readonly evictions = this.#make.counter(
    'evictions_total',
    'Blobs and manifests that left the store, by reason: budget, minFree (room had to be made), requested, ' +
      'missing, damaged.',
    ['reason'],
  );
  readonly evictedBytes = this.#make.counter(
    'evicted_bytes_total',
    'Bytes of the blobs and manifests that left the store, for whatever reason.',
    [],
  );
  readonly evictedIdle = this.#make.histogram(
    'evicted_idle_seconds',
    'How long nobody had wanted what was evicted, because of the budget or the free space.',
    [],
    IDLE_BUCKETS,
  );
  readonly tokens = this.#make.counter(
    'tokens_total',
    'Tokens asked for, by result: fetched, refused, failed.',
    ['upstream', 'result'],
  );
  readonly misses = this.#make.counter(
    'misses_total',
    'Requests for what could not be given, by reason: absent, denied, offline, throttled, unavailable.',
    ['upstream', 'reason'],
  );
  readonly storageErrors = this.#make.counter('storage_errors_total', 'Times that the disk refused.', []);
  readonly scrubbedBytes = this.#make.counter(
    'scrubbed_bytes_total',
    'Bytes of stored content hashed again in the background.',
    [],
  );
  readonly storeFindings = this.#make.counter(
    'store_findings_total',
    'What was found wrong in the store, by kind: damaged, missing, unknown, leftover, irregular, unreadable.',
    ['kind'],
  );
  readonly prewarmRuns = this.#make.counter(
    'prewarm_runs_total',
    'Runs of schedules, by result: done, failed.',
    ['result'],
  );
  readonly prewarmImages = this.#make.counter(
    'prewarm_images_total',
    'Images that schedules fetched, or found here, by result: done, failed.',
    ['result'],
  );
  readonly prewarmBytes = this.#make.counter('prewarm_bytes_total', 'Bytes that schedules fetched.', []);
  readonly #configReloads = this.#make.counter(
    'config_reloads_total',
    'Configurations read again, by result: success, failure.',
    ['result'],
  );
  readonly #configSuccessful = this.#make.gauge(
    'config_last_reload_successful',
    'Whether the configuration that was read last could be used.',
    [],
  );
  readonly #configLoadedAt = this.#make.gauge(
    'config_loaded_timestamp_seconds',
    'When the configuration in use was loaded.',
    [],
  );
  /** Only these are labels: what ends after its upstream was taken out must not bring its series back. */
  readonly #upstreams = new Set<string>([NO_UPSTREAM]);
  readonly #requestCells = new Map<string, { count: () => void; observe: (seconds: number) => void }>();

  constructor(version: string) {
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    for (const result of RUN_RESULTS) {
      this.prewarmRuns.inc({ result }, 0);
      this.prewarmImages.inc({ result }, 0);
    }
    for (const result of ['success', 'failure']) this.#configReloads.inc({ result }, 0);
    this.#make.gauge('build_info', 'The version that runs.', ['version']).set({ version }, 1);
  }

  /** An upstream is configured, or asked by another client: what is counted of it is there from now on. */
  introduce(upstream: string): void {
    this.#upstreams.add(upstream);
    for (const kind of COUNTED_KINDS)
      for (const outcome of OUTCOMES) this.#requests.inc({ upstream, kind, outcome }, 0);
    for (const source of SOURCES) this.#servedBytes.inc({ upstream, source }, 0);
    this.#upstreamBytes.inc({ upstream }, 0);
    this.upstreamUp.set({ upstream }, 1);
  }

  /** An upstream is not configured any more: all its series go, and what still ends of it is told no more. */
  forget(upstream: string): void {
    this.#upstreams.delete(upstream);
    for (const key of this.#requestCells.keys())
      if (key.startsWith(`${upstream} `)) this.#requestCells.delete(key);
    const all = [
      ...[this.#requests, this.#servedBytes, this.#upstreamBytes, this.upstreamRequests, this.upstreamUp],
      ...[this.upstreamFailures, this.tokens, this.misses],
    ];
    for (const metric of [...all, this.upstreamDuration]) removeSeries(metric, upstream);
  }

  /** Whether an upstream is configured: of others nothing may be counted. */
  isKnown(upstream: string): boolean {
    return this.#upstreams.has(upstream);
  }

  /** Counts one request. @param firstByteS seconds until the first byte */
  request(upstream: string, kind: RequestKind, outcome: Outcome, firstByteS: number): void {
    if (kind === 'manifest' || kind === 'blob') this.totals.requests[outcome] += 1;
    if (!this.#upstreams.has(upstream)) return;
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
    this.totals.servedBytes[source] += bytes;
    if (this.#upstreams.has(upstream)) this.#servedBytes.inc({ upstream, source }, bytes);
  }

  /** @returns what counts bytes of content from an upstream */
  receivedFrom(upstream: string): (bytes: number) => void {
    const counted = this.#upstreamBytes.labels(upstream);
    return (bytes) => {
      this.totals.fetchedBytes += bytes;
      if (this.#upstreams.has(upstream)) counted.inc(bytes);
    };
  }
}

function makersFor(registry: Registry) {
  const registers = [registry];
  return {
    counter: <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `hubcap_${name}`, help, labelNames, registers }),
    gauge: <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Gauge({ name: `hubcap_${name}`, help, labelNames, registers }),
    histogram: <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
      new Histogram({ name: `hubcap_${name}`, help, labelNames, buckets, registers }),
  };
}

interface Labelled {
  get(): Promise<{ values: readonly { labels: object }[] }>;
  remove(labels: object): void;
}

/** What a metric holds is told by a promise that is there before anything else can happen. */
async function removeSeries(metric: Labelled, upstream: string): Promise<void> {
  const { values } = await metric.get();
  for (const { labels } of values) {
    const { le: _, ...own }: { le?: unknown; upstream?: unknown } = labels;
    if (own.upstream === upstream) metric.remove(own);
  }
}
