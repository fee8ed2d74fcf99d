/** Owns what hubcap knows without being told: the defaults of an upstream and the well-known registries. */
import type { UpstreamConfig } from './schema.ts';

/** The upstream of a request that names none. */
export const DEFAULT_UPSTREAM = 'docker.io';

const second = 1_000;

/** What an upstream gets where neither its configuration nor its preset says otherwise. */
export const upstreamDefaults: Omit<UpstreamConfig, 'host' | 'url'> = {
  realms: [],
  aliases: [],
  virtualHosts: [],
  credentials: [],
  tls: { ca: undefined, cert: undefined, key: undefined, isInsecure: false, files: {} },
  mirrors: [],
  tagTtlMs: 60 * second,
  freshness: [],
  staleWhileRevalidateMs: 0,
  refreshAhead: false,
  keepDeleted: false,
  notFoundTtlMs: 10 * second,
  private: [],
  publicTtlMs: 3600 * second,
  grantTtlMs: 7 * 24 * 3600 * second,
  reserve: { share: 0.1 },
  connections: 32,
  timeouts: {
    connectMs: 5 * second,
    headersMs: 15 * second,
    idleMs: 30 * second,
    stallMs: 60 * second,
    confirmMs: 4 * second,
    probeMs: 1 * second,
  },
  retries: 3,
};

/** What is special about a well-known registry. */
export interface Preset {
  url?: string;
  realms?: string[];
  aliases?: string[];
}

/**
 * The well-known registries by host. Those without entries answer on `https://HOST` and sign their own tokens;
 * they are listed so that they can be offered by name.
 */
export const presets: ReadonlyMap<string, Preset> = new Map<string, Preset>([
  [
    DEFAULT_UPSTREAM,
    {
      url: 'https://registry-1.docker.io',
      realms: ['auth.docker.io'],
      aliases: ['registry-1.docker.io', 'index.docker.io'],
    },
  ],
  ['ghcr.io', {}],
  ['quay.io', {}],
  ['registry.k8s.io', {}],
  ['gcr.io', {}],
  ['mcr.microsoft.com', {}],
  ['public.ecr.aws', {}],
  // It names nvcr.io/proxy_auth first and, to who brings a token that has ended, this one.
  ['nvcr.io', { realms: ['authn.nvidia.com'] }],
  ['registry.gitlab.com', { realms: ['gitlab.com'] }],
]);
