/** Owns the rows about the store, schedules and the process. */
import { CHOSEN, type Row } from './panel.ts';

const rate = (metric: string, by: string): string =>
  `sum by (${by}) (rate(${metric}{${CHOSEN}}[$__rate_interval]))`;

export const store: Row = {
  title: 'Store',
  panels: [
    {
      type: 'timeseries',
      title: 'Store against its budget',
      description:
        'Bytes on disk that content takes, that running downloads have set aside, and the budget for both.',
      unit: 'bytes',
      width: 12,
      limits: ['^budget '],
      queries: [
        { expr: `hubcap_store_bytes{${CHOSEN}}`, legend: 'stored {{instance}}' },
        { expr: `hubcap_store_reserved_bytes{${CHOSEN}}`, legend: 'set aside {{instance}}' },
        { expr: `hubcap_store_max_bytes{${CHOSEN}}`, legend: 'budget {{instance}}' },
      ],
    },
    {
      type: 'gauge',
      title: 'Pinned',
      description: 'The share of the budget that is pinned: what is left is for everything else.',
      unit: 'percentunit',
      width: 6,
      max: 1,
      steps: [
        [null, 'green'],
        [0.75, 'orange'],
        [0.9, 'red'],
      ],
      queries: [
        {
          expr: `hubcap_store_pinned_bytes{${CHOSEN}} / (hubcap_store_max_bytes{${CHOSEN}} > 0)`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Stored objects and pins',
      description: 'Blobs and manifests in the store, and references that are pinned.',
      unit: 'short',
      width: 6,
      queries: [
        { expr: `hubcap_store_objects{${CHOSEN}}`, legend: 'objects {{instance}}' },
        { expr: `hubcap_pins{${CHOSEN}}`, legend: 'pins {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'What leaves the store, by reason',
      description:
        'budget and minFree are evictions to make room, requested is hubcap remove, missing and damaged are faults of the disk.',
      unit: 'ops',
      width: 8,
      isStacked: true,
      queries: [{ expr: rate('hubcap_evictions_total', 'reason'), legend: '{{reason}}' }],
    },
    {
      type: 'timeseries',
      title: 'Bytes that leave the store',
      description: 'Compared with the bytes that are fetched it says how fast the store turns over.',
      unit: 'Bps',
      width: 8,
      queries: [{ expr: rate('hubcap_evicted_bytes_total', 'instance'), legend: '{{instance}}' }],
    },
    {
      type: 'timeseries',
      title: 'Age of what is evicted',
      description:
        'How long nobody had wanted half, and the most recently used tenth, of what was evicted to make room; below a day the store is too small.',
      unit: 's',
      width: 8,
      steps: [
        [null, 'red'],
        [86_400, 'green'],
      ],
      queries: [0.1, 0.5].map((quantile) => ({
        expr: `histogram_quantile(${quantile}, ${rate('hubcap_evicted_idle_seconds_bucket', 'instance, le')})`,
        legend: `p${quantile * 100} {{instance}}`,
      })),
    },
    {
      type: 'state-timeline',
      title: 'Disk',
      description:
        'Whether the disk takes new content: while it refuses, everything new is streamed past the store.',
      unit: 'short',
      width: 8,
      max: 1,
      words: ['refuses', 'writable'],
      queries: [{ expr: `hubcap_store_writable{${CHOSEN}}`, legend: '{{instance}}' }],
    },
    {
      type: 'timeseries',
      title: 'Errors of the disk, and what is wrong in the store',
      description:
        'Times that the disk refused, and what was found damaged, missing or out of place, in each interval.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (instance) (increase(hubcap_storage_errors_total{${CHOSEN}}[$__rate_interval]))`,
          legend: 'refused {{instance}}',
        },
        {
          expr: `sum by (kind) (increase(hubcap_store_findings_total{${CHOSEN}}[$__rate_interval]))`,
          legend: '{{kind}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Hashed again in the background',
      description:
        'Bytes of stored content per second that are compared with their digests, where storage.scrub is set.',
      unit: 'Bps',
      width: 8,
      queries: [{ expr: rate('hubcap_scrubbed_bytes_total', 'instance'), legend: '{{instance}}' }],
    },
  ],
};

export const prewarm: Row = {
  title: 'Schedules',
  panels: [
    {
      type: 'timeseries',
      title: 'Since a list was fetched as a whole',
      description: 'It should stay below the interval of the list, which is the dashed line.',
      unit: 's',
      width: 8,
      limits: ['^interval '],
      queries: [
        {
          expr: `time() - hubcap_prewarm_last_success_timestamp_seconds{${CHOSEN}}`,
          legend: '{{list}} {{instance}}',
        },
        { expr: `hubcap_prewarm_interval_seconds{${CHOSEN}}`, legend: 'interval {{list}} {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'Images and runs of schedules',
      description:
        'Images that schedules fetched or found here, and runs, by whether they were done or failed, in each interval.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `sum by (result) (increase(hubcap_prewarm_images_total{${CHOSEN}}[$__rate_interval]))`,
          legend: 'images {{result}}',
        },
        {
          expr: `sum by (result) (increase(hubcap_prewarm_runs_total{${CHOSEN}}[$__rate_interval]))`,
          legend: 'runs {{result}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Bytes that schedules fetch',
      description: 'Bytes per second of the runs that ended in the interval.',
      unit: 'Bps',
      width: 8,
      queries: [{ expr: rate('hubcap_prewarm_bytes_total', 'instance'), legend: '{{instance}}' }],
    },
  ],
};

export const machine: Row = {
  title: 'Process',
  panels: [
    {
      type: 'timeseries',
      title: 'Event loop',
      description:
        'How late the event loop is: on average, and once in a hundred turns; every answer waits that long.',
      unit: 's',
      width: 8,
      steps: [
        [null, 'green'],
        [0.25, 'red'],
      ],
      queries: [
        { expr: `nodejs_eventloop_lag_p99_seconds{${CHOSEN}}`, legend: 'p99 {{instance}}' },
        { expr: `nodejs_eventloop_lag_mean_seconds{${CHOSEN}}`, legend: 'mean {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'Memory',
      description: 'Resident memory of the process, of it the heap and the buffers outside the heap.',
      unit: 'bytes',
      width: 8,
      queries: [
        { expr: `process_resident_memory_bytes{${CHOSEN}}`, legend: 'resident {{instance}}' },
        { expr: `nodejs_heap_size_used_bytes{${CHOSEN}}`, legend: 'heap {{instance}}' },
        { expr: `nodejs_external_memory_bytes{${CHOSEN}}`, legend: 'buffers {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'CPU',
      description: 'Cores that the process uses; of them, what collecting garbage takes.',
      unit: 'short',
      width: 8,
      queries: [
        { expr: rate('process_cpu_seconds_total', 'instance'), legend: 'all {{instance}}' },
        {
          expr: rate('nodejs_gc_duration_seconds_sum', 'instance'),
          legend: 'garbage collection {{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Open files',
      description: 'Files and connections that the process holds, and the most that it may.',
      unit: 'short',
      width: 8,
      limits: ['^limit '],
      queries: [
        { expr: `process_open_fds{${CHOSEN}}`, legend: 'open {{instance}}' },
        { expr: `process_max_fds{${CHOSEN}}`, legend: 'limit {{instance}}' },
      ],
    },
    {
      type: 'state-timeline',
      title: 'Configuration',
      description:
        'Whether the configuration that was read last could be used; where not, the one before holds.',
      unit: 'short',
      width: 8,
      max: 1,
      words: ['refused', 'in use'],
      queries: [{ expr: `hubcap_config_last_reload_successful{${CHOSEN}}`, legend: '{{instance}}' }],
    },
    {
      type: 'table',
      title: 'Versions and uptime',
      description: 'Which version runs where, and for how long.',
      unit: 's',
      width: 8,
      queries: [
        {
          expr: `(time() - process_start_time_seconds{${CHOSEN}}) * on (job, instance) group_left (version) hubcap_build_info{${CHOSEN}}`,
          legend: '{{instance}} {{version}}',
          isInstant: true,
        },
      ],
    },
  ],
};
