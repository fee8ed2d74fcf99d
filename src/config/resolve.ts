/** Owns precedence: documents, nearest first, then presets and defaults, make one configuration. Pure. */
import { hostPlatform, platformText } from '../oci/platform.ts';
import type { Document } from './document.ts';
import { defaultDataDirectory, type Surroundings } from './paths.ts';
import { DEFAULT_UPSTREAM, presets, upstreamDefaults } from './presets.ts';
import type { ScheduleDocument } from './schedule-document.ts';
import type {
  Config,
  EndpointConfig,
  ProxyConfig,
  ScheduleConfig,
  UpstreamConfig,
  UpstreamTimeouts,
} from './schema.ts';
import type { MirrorDocument, UpstreamDocument } from './upstream-document.ts';

const MIB = 1024 ** 2;
const SECOND = 1_000;
const HOUR = 3600 * SECOND;

/** The configuration that the documents make; the first that says something about a key decides. */
export function resolveConfig(documents: readonly Document[], around: Surroundings, isTty: boolean): Config {
  const first = <T>(pick: (document: Document) => T | undefined): T | undefined => firstOf(documents, pick);
  const format = first(({ log }) => log?.format) ?? 'auto';
  return {
    listen: first(({ listen }) => listen) ?? { host: '127.0.0.1', port: 5000 },
    admin: first(({ admin }) => admin) ?? { host: '127.0.0.1', port: 5001 },
    adminNames: first(({ adminNames }) => adminNames) ?? 'loopback',
    control: first(({ control }) => control),
    storage: {
      directory: first(({ storage }) => storage?.directory) ?? defaultDataDirectory(around),
      maxBytes: first(({ storage }) => storage?.maxSize) ?? { share: 0.5 },
      minFreeBytes: first(({ storage }) => storage?.minFree) ?? 1024 * MIB,
      scrubBytesPerS: first(({ storage }) => storage?.scrub) ?? 0,
    },
    upstreams: resolveUpstreams(documents),
    defaultUpstream: DEFAULT_UPSTREAM,
    prewarm: first(({ prewarm }) => prewarm)?.map(resolveSchedule) ?? [],
    offline: first(({ offline }) => offline) ?? false,
    http: {
      headerTimeoutMs: first(({ http }) => http?.headerTimeout) ?? 10 * SECOND,
      idleTimeoutMs: first(({ http }) => http?.idleTimeout) ?? 60 * SECOND,
      keepAliveMs: first(({ http }) => http?.keepAlive) ?? 65 * SECOND,
      maxConnections: first(({ http }) => http?.maxConnections) ?? 4096,
      drainMs: first(({ http }) => http?.drain) ?? 30 * SECOND,
    },
    log: {
      level: first(({ log }) => log?.level) ?? 'info',
      format: format === 'auto' ? (isTty ? 'text' : 'json') : format,
    },
    proxy: resolveProxy(documents),
  };
}

/** The default upstream, then the others in the order in which they were written. */
function resolveUpstreams(documents: readonly Document[]): Map<string, UpstreamConfig> {
  const byHost = documents.map(({ upstreams = {} }) => {
    return new Map(Object.entries(upstreams).map(([host, upstream]) => [host.toLowerCase(), upstream]));
  });
  const hosts = new Set([DEFAULT_UPSTREAM, ...byHost.flatMap((upstreams) => [...upstreams.keys()])]);
  return new Map(
    [...hosts].map((host) => {
      const written = byHost
        .map((upstreams) => upstreams.get(host))
        .filter((upstream) => upstream !== undefined);
      return [host, resolveUpstream(host, written)];
    }),
  );
}

function resolveUpstream(host: string, written: readonly UpstreamDocument[]): UpstreamConfig {
  const preset = presets.get(host) ?? {};
  const defaults = upstreamDefaults;
  const first = <T>(pick: (upstream: UpstreamDocument) => T | undefined): T | undefined =>
    firstOf(written, pick);
  return {
    host,
    url: first(({ url }) => url) ?? new URL(preset.url ?? `https://${host}`),
    realms: first(({ realms }) => realms) ?? [...(preset.realms ?? defaults.realms)],
    aliases: first(({ aliases }) => aliases) ?? [...(preset.aliases ?? defaults.aliases)],
    virtualHosts: first(({ virtualHosts }) => virtualHosts) ?? [...defaults.virtualHosts],
    credentials: first(({ credentials }) => credentials) ?? [...defaults.credentials],
    tls: first(({ tls }) => tls) ?? defaults.tls,
    mirrors: first(({ mirrors }) => mirrors)?.map(resolveMirror) ?? [...defaults.mirrors],
    tagTtlMs: first(({ tagTtl }) => tagTtl) ?? defaults.tagTtlMs,
    freshness: first(({ freshness }) => freshness) ?? [...defaults.freshness],
    staleWhileRevalidateMs:
      first(({ staleWhileRevalidate }) => staleWhileRevalidate) ?? defaults.staleWhileRevalidateMs,
    refreshAhead: first(({ refreshAhead }) => refreshAhead) ?? defaults.refreshAhead,
    keepDeleted: first(({ keepDeleted }) => keepDeleted) ?? defaults.keepDeleted,
    notFoundTtlMs: first(({ notFoundTtl }) => notFoundTtl) ?? defaults.notFoundTtlMs,
    private: first((upstream) => upstream.private) ?? [...defaults.private],
    publicTtlMs: first(({ publicTtl }) => publicTtl) ?? defaults.publicTtlMs,
    grantTtlMs: first(({ grantTtl }) => grantTtl) ?? defaults.grantTtlMs,
    reserve: first(({ reserve }) => reserve) ?? defaults.reserve,
    connections: first(({ connections }) => connections) ?? defaults.connections,
    timeouts: resolveTimeouts(written),
    retries: first(({ retries }) => retries) ?? defaults.retries,
  };
}

/** A mirror has what it was given and nothing of the registry's: neither its token servers nor its accounts. */
function resolveMirror({ url, realms, credentials, tls }: MirrorDocument): EndpointConfig {
  return {
    url,
    realms: realms ?? [],
    credentials: credentials ?? [],
    tls: tls ?? upstreamDefaults.tls,
  };
}

function resolveTimeouts(written: readonly UpstreamDocument[]): UpstreamTimeouts {
  const defaults = upstreamDefaults.timeouts;
  const timeouts = written.map((upstream) => upstream.timeouts).filter((some) => some !== undefined);
  return {
    connectMs: firstOf(timeouts, ({ connect }) => connect) ?? defaults.connectMs,
    headersMs: firstOf(timeouts, ({ headers }) => headers) ?? defaults.headersMs,
    idleMs: firstOf(timeouts, ({ idle }) => idle) ?? defaults.idleMs,
    stallMs: firstOf(timeouts, ({ stall }) => stall) ?? defaults.stallMs,
    confirmMs: firstOf(timeouts, ({ confirm }) => confirm) ?? defaults.confirmMs,
    probeMs: firstOf(timeouts, ({ probe }) => probe) ?? defaults.probeMs,
  };
}

function resolveSchedule({ list, every, platforms, pin, referrers }: ScheduleDocument): ScheduleConfig {
  return {
    list,
    everyMs: every ?? 6 * HOUR,
    platforms: platforms ?? [platformText(hostPlatform(process.arch))],
    isPinning: pin ?? false,
    withReferrers: referrers ?? false,
  };
}

function resolveProxy(documents: readonly Document[]): ProxyConfig {
  const http = firstOf(documents, ({ proxy }) => proxy?.http);
  const https = firstOf(documents, ({ proxy }) => proxy?.https);
  const no = firstOf(documents, ({ proxy }) => proxy?.no);
  return { ...(http && { http }), ...(https && { https }), ...(no && { no }) };
}

function firstOf<D, T>(documents: readonly D[], pick: (document: D) => T | undefined): T | undefined {
  for (const document of documents) {
    const value = pick(document);
    if (value !== undefined) return value;
  }
  return undefined;
}
