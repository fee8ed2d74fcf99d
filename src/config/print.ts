/** Owns showing the effective configuration, as a file that could be loaded again, with secrets hidden. */
import { stringify } from 'yaml';
import { formatDuration, formatExactBytes } from '../units.ts';
import { formatAddress } from './address.ts';
import type {
  Config,
  CredentialConfig,
  EndpointConfig,
  ScheduleConfig,
  Share,
  UpstreamConfig,
} from './schema.ts';

const HIDDEN = '***';

/**
 * YAML of the whole configuration. Passwords, and credentials in URLs, are `***`; all else loads as it is. Of
 * certificates and keys the files are shown.
 */
export function printConfig(config: Config): string {
  const { listen, admin, adminNames, control, storage, upstreams, prewarm, offline, http, log, proxy } =
    config;
  return stringify(
    {
      listen: formatAddress(listen),
      admin: formatAddress(admin),
      adminNames,
      ...(control !== undefined && { control }),
      storage: {
        directory: storage.directory,
        maxSize: formatBudget(storage.maxBytes),
        minFree: formatExactBytes(storage.minFreeBytes),
        scrub: formatExactBytes(storage.scrubBytesPerS),
      },
      upstreams: Object.fromEntries([...upstreams].map(([host, upstream]) => [host, showUpstream(upstream)])),
      prewarm: prewarm.map(showSchedule),
      offline,
      http: {
        headerTimeout: formatDuration(http.headerTimeoutMs),
        idleTimeout: formatDuration(http.idleTimeoutMs),
        keepAlive: formatDuration(http.keepAliveMs),
        maxConnections: http.maxConnections,
        drain: formatDuration(http.drainMs),
      },
      log: { level: log.level, format: log.format },
      proxy: {
        ...(proxy.http && { http: hideUserinfo(proxy.http) }),
        ...(proxy.https && { https: hideUserinfo(proxy.https) }),
        ...(proxy.no && { no: proxy.no }),
      },
    },
    { lineWidth: 0 },
  );
}

/** The budget as the configuration writes it: `50GiB` or `50%`. */
export function formatBudget(maxBytes: number | Share): string {
  return typeof maxBytes === 'number' ? formatExactBytes(maxBytes) : formatShare(maxBytes);
}

function formatShare({ share }: Share): string {
  // 0.29 * 100 is 28.999999999999996.
  return `${Number((share * 100).toPrecision(12))}%`;
}

function showUpstream(upstream: UpstreamConfig): Record<string, unknown> {
  const { timeouts } = upstream;
  return {
    ...showEndpoint(upstream),
    mirrors: upstream.mirrors.map(showEndpoint),
    aliases: upstream.aliases,
    virtualHosts: upstream.virtualHosts,
    tagTtl: formatDuration(upstream.tagTtlMs),
    freshness: Object.fromEntries(
      upstream.freshness.map(({ pattern, ttlMs }) => [pattern, formatDuration(ttlMs)]),
    ),
    staleWhileRevalidate: formatDuration(upstream.staleWhileRevalidateMs),
    refreshAhead: upstream.refreshAhead,
    keepDeleted: upstream.keepDeleted,
    notFoundTtl: formatDuration(upstream.notFoundTtlMs),
    private: upstream.private,
    publicTtl: formatDuration(upstream.publicTtlMs),
    grantTtl: formatDuration(upstream.grantTtlMs),
    reserve: typeof upstream.reserve === 'number' ? upstream.reserve : formatShare(upstream.reserve),
    connections: upstream.connections,
    timeouts: {
      connect: formatDuration(timeouts.connectMs),
      headers: formatDuration(timeouts.headersMs),
      idle: formatDuration(timeouts.idleMs),
      stall: formatDuration(timeouts.stallMs),
      confirm: formatDuration(timeouts.confirmMs),
      probe: formatDuration(timeouts.probeMs),
    },
    retries: upstream.retries,
  };
}

function showSchedule(schedule: ScheduleConfig): Record<string, unknown> {
  const { list, everyMs, platforms, isPinning: pin, withReferrers: referrers } = schedule;
  return { list, every: formatDuration(everyMs), platforms, pin, referrers };
}

function showEndpoint({ url, realms, credentials, tls }: EndpointConfig): Record<string, unknown> {
  return {
    url: hideUserinfo(url.href),
    realms,
    credentials: credentials.map(showCredential),
    tls: { ...tls.files, insecure: tls.isInsecure },
  };
}

function showCredential(credential: CredentialConfig): Record<string, string | boolean> {
  if (credential.kind === 'dockerConfig') return { dockerConfig: credential.file };
  if (credential.kind === 'anonymous') return { anonymous: true };
  return { username: credential.username, password: HIDDEN };
}

function hideUserinfo(href: string): string {
  const url = new URL(href);
  if (url.username !== '') url.username = HIDDEN;
  if (url.password !== '') url.password = HIDDEN;
  return url.href;
}
