/** Owns the rows about upstreams: whether they answer, how soon, what pulls they allow, and what is downloaded. */
import { CHOSEN, OF_UPSTREAM, type Row } from './panel.ts';

const LEFT = `hubcap_upstream_ratelimit_remaining{${OF_UPSTREAM}}`;

export const upstreams: Row = {
  title: 'Upstreams',
  panels: [
    {
      type: 'state-timeline',
      title: 'State of upstreams',
      description: 'An upstream is down while all of its addresses are left alone because they failed.',
      unit: 'short',
      width: 12,
      max: 1,
      words: ['down', 'up'],
      queries: [
        {
          expr: `max by (instance, upstream) (hubcap_upstream_endpoint_up{${OF_UPSTREAM}})`,
          legend: '{{upstream}} {{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Latency of upstreams',
      description: 'Half of the answers, and all but one in twenty, had their head here within this time.',
      unit: 's',
      width: 12,
      queries: [0.5, 0.95].map((quantile) => ({
        expr: `histogram_quantile(${quantile}, sum by (le, upstream) (rate(hubcap_upstream_request_duration_seconds_bucket{${OF_UPSTREAM}}[$__rate_interval])))`,
        legend: `{{upstream}} p${quantile * 100}`,
      })),
    },
    {
      type: 'timeseries',
      title: 'Questions by status',
      description: 'Requests made to upstreams per second, by the status that came back; none is no answer.',
      unit: 'reqps',
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (upstream, status) (rate(hubcap_upstream_requests_total{${OF_UPSTREAM}}[$__rate_interval]))`,
          legend: '{{upstream}} {{status}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Failures by reason',
      description:
        'Questions to upstreams per second that failed with all their attempts; reasons that do not occur are left out.',
      unit: 'reqps',
      width: 12,
      queries: [
        {
          expr: `sum by (upstream, reason) (rate(hubcap_upstream_failures_total{${OF_UPSTREAM}}[$__rate_interval])) > 0`,
          legend: '{{upstream}} {{reason}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Tokens',
      description: 'Tokens asked for per second; refused says that a login or a repository is not let in.',
      unit: 'reqps',
      width: 12,
      queries: [
        {
          expr: `sum by (upstream, result) (rate(hubcap_tokens_total{${OF_UPSTREAM}}[$__rate_interval]))`,
          legend: '{{upstream}} {{result}}',
        },
      ],
    },
    {
      type: 'table',
      title: 'Who is not asked, and for how long',
      description:
        'Accounts that rest after a pull limit or a refused login, and upstreams that limit requests; without an account it is about all.',
      unit: 's',
      width: 12,
      queries: [
        {
          expr: `max by (instance, upstream, account, reason) (hubcap_upstream_resting_seconds{${OF_UPSTREAM}})`,
          legend: '{{upstream}} {{account}} {{reason}}',
          isInstant: true,
        },
      ],
    },
  ],
};

export const pulls: Row = {
  title: 'Pull limits',
  panels: [
    {
      type: 'timeseries',
      title: 'Pulls left, by account',
      description:
        'What the upstream last said that an account may still pull; the dashed line is its limit.',
      unit: 'short',
      width: 8,
      limits: ['^limit '],
      queries: [
        { expr: LEFT, legend: '{{upstream}} {{account}} {{instance}}' },
        {
          expr: `hubcap_upstream_ratelimit_limit{${OF_UPSTREAM}}`,
          legend: 'limit {{upstream}} {{account}} {{instance}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Time until pulls are spent, by account',
      description: 'At the pace of the last hour; there is no line while what is left does not fall.',
      unit: 's',
      width: 8,
      steps: [
        [null, 'red'],
        [3600, 'green'],
      ],
      queries: [
        { expr: `${LEFT} / (-deriv(${LEFT}[1h]) > 0)`, legend: '{{upstream}} {{account}} {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'Pulls left in an hour, by account',
      description: 'What will be left in an hour at the pace of the last hour; 0 is where pulls are refused.',
      unit: 'short',
      width: 8,
      queries: [
        {
          expr: `clamp_min(predict_linear(${LEFT}[1h], 3600), 0)`,
          legend: '{{upstream}} {{account}} {{instance}}',
        },
      ],
    },
  ],
};

export const downloads: Row = {
  title: 'Downloads',
  panels: [
    {
      type: 'timeseries',
      title: 'Running downloads and their readers',
      description:
        'Readers above downloads are clients that share one; downloads without readers go on for the store.',
      unit: 'short',
      width: 12,
      queries: [
        { expr: `hubcap_fills_in_flight{${CHOSEN}}`, legend: 'downloads {{instance}}' },
        { expr: `hubcap_fill_readers{${CHOSEN}}`, legend: 'readers {{instance}}' },
      ],
    },
    {
      type: 'timeseries',
      title: 'Downloads that ended, by result',
      description:
        'stored is as it should be, passed and left went past the store, mismatch was wrong content, unstored is a disk that refused.',
      unit: 'ops',
      width: 12,
      isStacked: true,
      queries: [
        {
          expr: `sum by (result) (rate(hubcap_fills_total{${CHOSEN}}[$__rate_interval]))`,
          legend: '{{result}}',
        },
      ],
    },
    {
      type: 'timeseries',
      title: 'Longest wait for a byte',
      description:
        'How long the running download that waits longest has got nothing; after timeouts.stall it is given up.',
      unit: 's',
      width: 12,
      steps: [
        [null, 'green'],
        [300, 'red'],
      ],
      queries: [{ expr: `hubcap_fill_idle_seconds{${CHOSEN}}`, legend: '{{instance}}' }],
    },
    {
      type: 'timeseries',
      title: 'Resumed and thrown away',
      description:
        'Connections that broke and were gone on with, and downloads of wrong content that were tried once more.',
      unit: 'ops',
      width: 12,
      queries: [
        {
          expr: `sum by (instance) (rate(hubcap_fill_resumes_total{${CHOSEN}}[$__rate_interval]))`,
          legend: 'resumed {{instance}}',
        },
        {
          expr: `sum by (instance) (rate(hubcap_fill_discards_total{${CHOSEN}}[$__rate_interval]))`,
          legend: 'thrown away {{instance}}',
        },
      ],
    },
  ],
};
