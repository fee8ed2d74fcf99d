/** Owns showing the effective configuration, as a file that could be loaded again, with secrets hidden. */
import { stringify } from 'yaml';
import { formatAddress } from './address.ts';
import type { Config, CredentialConfig, Share, UpstreamConfig } from './schema.ts';
import { formatDuration, formatExactBytes } from './units.ts';

const HIDDEN = '***';

/** YAML of the whole configuration. Passwords, and credentials in URLs, are `***`; all else loads as it is. */
export function printConfig(config: Config): string {
  const { listen, admin, control, storage, upstreams, offline, http, log, proxy } = config;
  return stringify(
    {
      listen: formatAddress(listen),
      admin: formatAddress(admin),
      ...(control !== undefined && { control }),
      storage: {
        directory: storage.directory,
        maxSize: formatBudget(storage.maxBytes),
        minFree: formatExactBytes(storage.minFreeBytes),
        scrub: formatExactBytes(storage.scrubBytesPerS),
      },
      upstreams: Object.fromEntries([...upstreams].map(([host, upstream]) => [host, showUpstream(upstream)])),
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
  if (typeof maxBytes === 'number') return formatExactBytes(maxBytes);
  // 0.29 * 100 is 28.999999999999996.
  return `${Number((maxBytes.share * 100).toPrecision(12))}%`;
}

function showUpstream(upstream: UpstreamConfig): Record<string, unknown> {
  const { timeouts } = upstream;
  return {
    url: hideUserinfo(upstream.url.href),
    realms: upstream.realms,
    aliases: upstream.aliases,
    virtualHosts: upstream.virtualHosts,
    credentials: upstream.credentials.map(showCredential),
    tagTtl: formatDuration(upstream.tagTtlMs),
    notFoundTtl: formatDuration(upstream.notFoundTtlMs),
    connections: upstream.connections,
    timeouts: {
      connect: formatDuration(timeouts.connectMs),
      headers: formatDuration(timeouts.headersMs),
      idle: formatDuration(timeouts.idleMs),
      stall: formatDuration(timeouts.stallMs),
      confirm: formatDuration(timeouts.confirmMs),
    },
    retries: upstream.retries,
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
