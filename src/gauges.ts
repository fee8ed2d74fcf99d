/** Owns the metrics that are read when somebody asks for them: nothing is kept for them, and what is gone is not told. */
import { Gauge, type Registry } from 'prom-client';

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
  /** of the running download into the store that waits longest for a byte, s; 0 where none runs */
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

/** What upstream last said of an account's pulls, as long as that holds. */
export interface PullCount {
  upstream: string;
  account: string;
  limit: number | undefined;
  remaining: number | undefined;
  windowS: number | undefined;
}

export interface ScheduleTimes {
  list: string;
  everyS: number;
  /** undefined where it has not been since the start */
  successAtMs: number | undefined;
}

/** Has the gauges read at each scrape. */
export function watchGauges(registry: Registry, gauges: Gauges): void {
  const read = (name: string, help: string, value: () => number): void =>
    readEach(registry, name, help, [], () => [{ labels: {}, value: value() }]);
  read('store_bytes', 'Bytes that stored content takes on disk.', gauges.storeBytes);
  read('store_max_bytes', 'The byte budget of the store.', gauges.storeMaxBytes);
  read('store_reserved_bytes', 'Bytes set aside for running downloads.', gauges.storeReservedBytes);
  read('store_objects', 'Blobs and manifests in the store.', gauges.storeObjects);
  read(
    'store_pinned_bytes',
    'Bytes on disk of all that is pinned, once it is all here; of hubcap_store_max_bytes at most.',
    gauges.pinnedBytes,
  );
  read('pins', 'References that are pinned.', gauges.pins);
  read('store_writable', 'Whether the disk takes new content, as it was last found.', () =>
    Number(gauges.storeWritable()),
  );
  read('offline', 'Whether nobody is asked, as the configuration or a command wants it.', () =>
    Number(gauges.offline()),
  );
  read('misses_listed', 'Lines of the miss list, as of its last write.', gauges.missesListed);
  read(
    'fills_in_flight',
    'Downloads that bring content, into the store or past it, whether anybody reads them or not.',
    gauges.fillsInFlight,
  );
  read(
    'fill_readers',
    'Clients that read from running downloads, into the store or past it.',
    gauges.fillReaders,
  );
  read(
    'fill_idle_seconds',
    'Since when the running download into the store that waits longest has got no byte; 0 where none runs.',
    gauges.fillIdleS,
  );
}

/** Has what rests read at each scrape. */
export function watchRests(registry: Registry, rests: () => Iterable<UpstreamRest>): void {
  readEach(
    registry,
    'upstream_resting_seconds',
    'Until an upstream is asked again by an account (by all, where it has no name), by why it is not: ' +
      'pulls, requests, rejected. Not there where nothing rests.',
    ['upstream', 'account', 'reason'],
    () => Array.from(rests(), ({ seconds, ...labels }) => ({ labels, value: seconds })),
  );
}

/** Has the pull limits read at each scrape. */
export function watchPullCounts(registry: Registry, counts: () => Iterable<PullCount>): void {
  const read = (name: string, help: string, said: (count: PullCount) => number | undefined): void =>
    readEach(registry, name, help, ['upstream', 'account'], () =>
      Array.from(counts()).flatMap((count) => {
        const { upstream, account } = count;
        const value = said(count);
        return value === undefined ? [] : [{ labels: { upstream, account }, value }];
      }),
    );
  read(
    'upstream_ratelimit_limit',
    'Pulls that the upstream allows an account in its window. Not there where it has not said.',
    ({ limit }) => limit,
  );
  read(
    'upstream_ratelimit_remaining',
    'Pulls that the upstream still allows an account, as it last said; 0 while the account rests after its limit. ' +
      'Not there where it has not said, or longer ago than its window.',
    ({ remaining }) => remaining,
  );
  read(
    'upstream_ratelimit_window_seconds',
    'Length of the window in which the upstream counts pulls. Not there where it has not said.',
    ({ windowS }) => windowS,
  );
}

/** Has the times of schedules read at each scrape. */
export function watchSchedules(registry: Registry, schedules: () => Iterable<ScheduleTimes>): void {
  readEach(
    registry,
    'prewarm_last_success_timestamp_seconds',
    'When all that a list names was last fetched. Not there where it was not since the start.',
    ['list'],
    () =>
      Array.from(schedules()).flatMap(({ list, successAtMs }) =>
        successAtMs === undefined ? [] : [{ labels: { list }, value: successAtMs / 1000 }],
      ),
  );
  readEach(
    registry,
    'prewarm_interval_seconds',
    'How often the list of a schedule is fetched.',
    ['list'],
    () => Array.from(schedules(), ({ list, everyS }) => ({ labels: { list }, value: everyS })),
  );
}

interface Reading {
  labels: Record<string, string>;
  value: number;
}

function readEach(
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  readings: () => readonly Reading[],
): void {
  new Gauge({
    name: `hubcap_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of readings()) this.set(labels, value);
    },
  });
}
