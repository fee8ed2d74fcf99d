/** Owns one made-up office with all that a page can show: for pictures of it, and for looking at all of it at once. */
import type { PageStatus } from '../../src/admin/status.ts';
import { digestOf } from '../../src/oci/digest.ts';
import {
  accountOf,
  busyHour,
  endpointOf,
  imageOf,
  missOf,
  statusAt,
  type Told,
  upstreamOf,
} from './documents.ts';

const MIB = 1024 ** 2;
const MINUTE_MS = 60_000;

export type Situation = 'busy' | 'stale' | 'offline';

/** @param nowMs ms since the epoch */
export function office(nowMs: number, situation: Situation): Told {
  const samples = busyHour(nowMs, situation !== 'busy');
  const last = samples.at(-1);
  if (!last) throw new Error('an hour without samples');
  const isOffline = situation === 'offline';
  const change = {
    isOffline,
    isLocalOnly: false,
    listen: 'http://127.0.0.1:5000',
    misses: situation === 'busy' ? 2 : MISSED.length,
    upstreams: situation === 'stale' ? troubled(nowMs) : healthy(),
    prewarm: schedules(nowMs, isOffline),
    fills: situation === 'busy' ? fills(nowMs) : [],
  };
  const images = imagesAt(nowMs);
  return {
    status: statusAt(last, change),
    samples,
    images: { isCounted: true, total: 1284, matching: 1284, isTruncated: false, images },
    misses: missesAt(nowMs, change.misses),
  };
}

const HUB = 'https://registry-1.docker.io/';

function healthy(): PageStatus['upstreams'] {
  return [
    upstreamOf('docker.io', {
      url: HUB,
      isDefault: true,
      accounts: [accountOf('ci-bot'), accountOf('anonymous', { limit: 100, remaining: 88 })],
    }),
    upstreamOf('ghcr.io'),
    upstreamOf('quay.io'),
    upstreamOf('registry.k8s.io'),
  ];
}

function troubled(nowMs: number): PageStatus['upstreams'] {
  const until = new Date(nowMs + 42 * MINUTE_MS).toISOString();
  const failure = { reason: 'timeout', message: 'no answer from quay.io within 10s' };
  return [
    upstreamOf('docker.io', {
      url: HUB,
      isDefault: true,
      restingUntil: until,
      accounts: [accountOf('ci-bot', { remaining: 0, restingUntil: until })],
    }),
    upstreamOf('ghcr.io', {
      endpoints: [
        endpointOf('http://mirror.office.example:5000/', {
          state: 'down',
          reason: 'refused',
          message: 'mirror.office.example:5000 refuses connections',
          isInsecure: true,
        }),
        endpointOf('https://ghcr.io/'),
      ],
    }),
    upstreamOf('quay.io', { endpoints: [endpointOf('https://quay.io/', { state: 'down', ...failure })] }),
    upstreamOf('registry.k8s.io', {
      endpoints: [
        endpointOf('https://registry.k8s.io/', {
          state: 'slow',
          reason: 'timeout',
          message: 'answers take 4.1s',
        }),
      ],
    }),
  ];
}

function schedules(nowMs: number, isOffline: boolean): PageStatus['prewarm'] {
  const at = (ms: number): string => new Date(nowMs + ms).toISOString();
  const run = { startedAt: at(-95 * MINUTE_MS), endedAt: at(-93 * MINUTE_MS), message: undefined };
  return [
    {
      list: '/etc/hubcap/ci-images.txt',
      everyS: 21_600,
      isPinning: true,
      state: isOffline ? 'offline' : 'waiting',
      last: { ...run, result: 'done', images: { done: 38, failed: 0, total: 38 }, fetchedBytes: 412 * MIB },
      nextAt: isOffline ? undefined : at(265 * MINUTE_MS),
    },
  ];
}

function fills(nowMs: number): PageStatus['fills'] {
  const tick = (nowMs / 1000) % 10;
  const fill = (
    repository: string,
    size: number | undefined,
    share: number,
    readers: number,
  ): PageStatus['fills'][number] => ({
    digest: digestOf(Buffer.from(`${repository} ${size}`)),
    upstream: 'docker.io',
    repository,
    size: size === undefined ? undefined : size * MIB,
    bytes: Math.round(((size ?? 100) * share + tick * 8) * MIB), // no more than there is, after ten seconds
    readers,
  });
  return [
    fill('library/postgres', 311, 0.3, 6),
    fill('library/node', 190, 0.55, 14),
    fill('grafana/grafana', undefined, 0.4, 1),
  ];
}

function imagesAt(nowMs: number) {
  const both = { 'linux/amd64': 1, 'linux/arm64': 1 };
  const one = {
    'linux/amd64': 1,
    'linux/arm64': 0,
    'linux/arm/v7': 0,
    'linux/s390x': 0,
    'unknown/unknown': 0,
  };
  const rows: [string, number, number, Record<string, number>, boolean?][] = [
    ['docker.io/grafana/grafana:12.3.0', 178, 3, { 'linux/amd64': 0.62, 'linux/arm64': 0 }],
    ['docker.io/library/alpine:3.22', 3.7, 1, both, true],
    ['docker.io/library/alpine:3.23', 3.8, 0, both, true],
    ['docker.io/library/debian:bookworm-slim', 28.2, 22, one],
    ['docker.io/library/golang:1.26-alpine', 71, 190, one],
    ['docker.io/library/nginx:1.29', 68, 9, one],
    ['docker.io/library/node:24-slim', 79, 2, both, true],
    ['docker.io/library/postgres:18', 154, 0, { 'linux/amd64': 0.41 }],
    ['docker.io/library/python:3.14-slim', 41, 31, one],
    ['docker.io/library/redis:8', 47, 600, one],
    ['ghcr.io/renovatebot/renovate:42', 402, 88, { '': 1 }],
    ['quay.io/prometheus/prometheus:v3.8.0', 128, 2900, both],
    ['registry.k8s.io/pause:3.10', 0.3, 4, both, true],
  ];
  return rows.map(([name, mib, minutes, platforms, isPinned]) =>
    imageOf(name, mib * MIB, nowMs - minutes * MINUTE_MS - 4000, platforms, isPinned),
  );
}

const MISSED: [string, number, number, Parameters<typeof missOf>[2]][] = [
  ['docker.io/library/ruby:3.5', 3, 4, { reason: 'throttled', cause: undefined }],
  ['ghcr.io/owner/private-app:latest', 18, 12, { reason: 'denied', cause: undefined }],
  ['quay.io/coreos/etcd:v3.6.5', 1, 40, { reason: 'unavailable', cause: 'timeout', platform: 'linux/arm64' }],
  ['docker.io/library/mysql:9', 2, 51, { reason: 'offline', cause: undefined }],
  [
    `quay.io/coreos/etcd@${digestOf(Buffer.from('layer'))}`,
    1,
    52,
    { kind: 'blob', reason: 'unavailable', cause: 'timeout' },
  ],
];

function missesAt(nowMs: number, count: number): NonNullable<Told['misses']> {
  const misses = MISSED.slice(0, count).map(([reference, times, minutes, change]) =>
    missOf(reference, nowMs - minutes * MINUTE_MS, { count: times, ...change }),
  );
  return { total: count, misses };
}
