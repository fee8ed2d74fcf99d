/** Owns the rows about clients: what they get, how soon, what they are refused. */
import { CHOSEN, OF_UPSTREAM, type Row } from './panel.ts';

/** As in src/totals.ts: given is what got what it asked for, hits are those for which nothing was fetched. */
const HITS = `hubcap_requests_total{${OF_UPSTREAM}, kind=~"manifest|blob", outcome=~"hit|coalesced|revalidated|stale"}`;
const GIVEN = `hubcap_requests_total{${OF_UPSTREAM}, kind=~"manifest|blob", outcome=~"hit|coalesced|revalidated|stale|miss|bypass"}`;
const SERVED = `hubcap_served_bytes_total{${OF_UPSTREAM}}`;
const FETCHED = `hubcap_upstream_bytes_total{${OF_UPSTREAM}}`;

const SHARE = [
  [null, 'red'],
  [0.5, 'orange'],
  [0.8, 'green'],
] as const;

export const glance: Row = {
  title: 'At a glance',
  panels: [
    {
      type: 'stat',
      title: 'Hit rate',
      description:
        'Of the requests for manifests and blobs that were given what they asked for, the share for which nothing was fetched, over the time shown.',
      unit: 'percentunit',
      width: 4,
      height: 4,
      max: 1,
      steps: SHARE,
      queries: [
        {
          expr: `sum(increase(${HITS}[$__range])) / (sum(increase(${GIVEN}[$__range])) > 0)`,
          legend: 'hit rate',
          isInstant: true,
        },
      ],
    },
    {
      type: 'stat',
      title: 'Hit rate by bytes',
      description:
        'Of the bytes given to clients, the share that did not have to be fetched for it, over the time shown.',
      unit: 'percentunit',
      width: 4,
      height: 4,
      max: 1,
      steps: SHARE,
      queries: [
        {
          expr: `clamp_min(1 - sum(increase(${FETCHED}[$__range])) / (sum(increase(${SERVED}[$__range])) > 0), 0)`,
          legend: 'hit rate by bytes',
          isInstant: true,
        },
      ],
    },
    {
      type: 'stat',
      title: 'Bytes saved',
      description:
        'Bytes that clients were given and that were not fetched from upstream, over the time shown.',
      unit: 'bytes',
      width: 4,
      height: 4,
      queries: [
        {
          expr: `clamp_min(sum(increase(${SERVED}[$__range])) - sum(increase(${FETCHED}[$__range])), 0)`,
          legend: 'saved',
          isInstant: true,
        },
      ],
    },
    {
      type: 'stat',
      title: 'Pulls left',
      description:
        'The smallest share of its pulls that any upstream still allows, all accounts of it together.',
      unit: 'percentunit',
      width: 4,
      height: 4,
      max: 1,
      steps: [
        [null, 'red'],
        [0.1, 'orange'],
        [0.3, 'green'],
      ],
      queries: [
        {
          expr: `min(sum by (job, instance, upstream) (hubcap_upstream_ratelimit_remaining{${OF_UPSTREAM}})
            / (sum by (job, instance, upstream) (hubcap_upstream_ratelimit_limit{${OF_UPSTREAM}}) > 0))`,
          legend: 'pulls left',
        },
      ],
    },
    {
      type: 'stat',
      title: 'Upstreams down',
      description: 'Upstreams of which every address is left alone because it failed.',
      unit: 'short',
      width: 4,
      height: 4,
      steps: [
        [null, 'green'],
        [1, 'red'],
      ],
      queries: [
        {
          expr: `count(max by (job, instance, upstream) (hubcap_upstream_endpoint_up{${OF_UPSTREAM}}) == 0) or vector(0)`,
          legend: 'down',
        },
      ],
    },
    {
      type: 'stat',
      title: 'Store used',
      description:
        'The largest share of its byte budget that the store of any chosen hubcap takes; a store that is full evicts what was not used for longest.',
      unit: 'percentunit',
      width: 4,
      height: 4,
      max: 1,
      queries: [
        {
          expr: `max(hubcap_store_bytes{${CHOSEN}} / (hubcap_store_max_bytes{${CHOSEN}} > 0))`,
          legend: 'used',
        },
      ],
    },
  ],
};

export const given: Row = {
  title: 'What clients get',
  panels: [
    {
      type: 'timeseries',
      title: 'Hit rate over time',
      description: 'By requests: answered without fetching; by bytes: given without fetching.',
      unit: 'percentunit',
      width: 12,
      max: 1,
      queries: [
        {
          expr: `sum by (instance) (rate(${HITS}[$__rate_interval])) / (sum by (instance) (rate(${GIVEN}[$__rate_interval])) > 0)`,
          legend: 'requests {{instance}}',
        },
        {
          expr: `clamp_min(1 - sum by (instance) (rate(${FETCHED}[$__rate_interval]))
            / (sum by (instance) (rate(${SERVED}[$__rate_interval])) > 0), 0)`,
          legend: 'bytes {{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Requests by outcome',
      description: 'Requests for manifests and blobs per second, by how they were answered.',
      unit: 'reqps',
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (outcome) (rate(hubcap_requests_total{${OF_UPSTREAM}, kind=~"manifest|blob"}[$__rate_interval]))`,
          legend: '{{outcome}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Bytes given, by where they came from',
      description:
        'store: from the disk; fill: from a download that was running; bypass: streamed without being stored.',
      unit: 'Bps',
      width: 12,
      isStacked: true,
      queries: [{ expr: `sum by (source) (rate(${SERVED}[$__rate_interval]))`, legend: '{{source}}' }],
    },
    {
      type: 'timeseries',
      title: 'Bytes given and fetched',
      description: 'What lies between the two lines is what the mirror saves its upstreams.',
      unit: 'Bps',
      width: 12,
      queries: [
        { expr: `sum by (instance) (rate(${SERVED}[$__rate_interval]))`, legend: 'given {{instance}}' },
        { expr: `sum by (instance) (rate(${FETCHED}[$__rate_interval]))`, legend: 'fetched {{instance}}' },
      ],
    },
    {
      type: 'heatmap',
      title: 'Time to the first byte',
      description:
        'How many answers with a manifest or a blob began after how long; what is stored is in the lowest rows.',
      unit: 's',
      width: 12,
      queries: [
        {
          expr: `sum by (le) (increase(hubcap_request_duration_seconds_bucket{${CHOSEN}, kind=~"manifest|blob"}[$__rate_interval]))`,
          legend: '{{le}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Time to the first byte, by kind',
      description: 'Half of the answers, and all but one in twenty, began within this time.',
      unit: 's',
      width: 12,
      queries: [0.5, 0.95].map((quantile) => ({
        expr: `histogram_quantile(${quantile}, sum by (le, kind) (rate(hubcap_request_duration_seconds_bucket{${CHOSEN}, kind=~"manifest|blob"}[$__rate_interval])))`,
        legend: `{{kind}} p${quantile * 100}`,
      })),
    },
  ],
};

export const refused: Row = {
  title: 'What clients are refused',
  panels: [
    {
      type: 'timeseries',
      title: 'Requests that fail',
      description: 'The share of requests for manifests and blobs that end as an error, by instance.',
      unit: 'percentunit',
      width: 8,
      max: 1,
      steps: [
        [null, 'green'],
        [0.05, 'red'],
      ],
      queries: [
        {
          expr: `sum by (instance) (rate(hubcap_requests_total{${OF_UPSTREAM}, kind=~"manifest|blob", outcome="error"}[$__rate_interval]))
            / (sum by (instance) (rate(hubcap_requests_total{${OF_UPSTREAM}, kind=~"manifest|blob"}[$__rate_interval])) > 0)`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'What could not be given, by reason',
      description:
        "Requests that were refused: absent is upstream's own word, all others are on the miss list.",
      unit: 'reqps',
      width: 8,
      isStacked: true,
      queries: [
        {
          expr: `sum by (reason) (rate(hubcap_misses_total{${OF_UPSTREAM}}[$__rate_interval]))`,
          legend: '{{reason}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Miss list',
      description: 'Lines of the list of what clients could not be given, which hubcap misses prints.',
      unit: 'short',
      width: 8,
      queries: [{ expr: `hubcap_misses_listed{${CHOSEN}}`, legend: '{{instance}}' }],
    },
  ],
};
