/** Owns the shape of hubcap's configuration once it is loaded: every value checked, every unit resolved. */

/** Where a listener binds. IPv6 hosts are without brackets; an empty host is all interfaces, as `net.listen` takes it. */
export interface Address {
  host: string;
  port: number;
}

/** Where the login for an upstream comes from. A password file has already been read. */
export type CredentialConfig =
  | { kind: 'password'; username: string; password: string }
  | { kind: 'dockerConfig'; file: string }
  | { kind: 'anonymous' };

/** How a host is proven to be who it is, and hubcap to it. Files have already been read: PEM. */
export interface TlsConfig {
  /** trusted beside the system's own */
  ca: string | undefined;
  /** shown to the upstream's own host alone, with its key */
  cert: string | undefined;
  key: string | undefined;
  /** nothing is proven: whoever answers is believed */
  isInsecure: boolean;
  /** where they were read, to be shown: absolute */
  files: { ca?: string; cert?: string; key?: string };
}

/** One address at which an upstream can be asked. */
export interface EndpointConfig {
  /** Origin and optional path, http or https, without credentials. */
  url: URL;
  /** Hosts (`host` or `host:port`) whose token realm is trusted beside the endpoint's own host. */
  realms: string[];
  /** The accounts at this address. */
  credentials: CredentialConfig[];
  tls: TlsConfig;
}

/** How long tags that match are believed. */
export interface TagRule {
  /** `REPOSITORY` or `REPOSITORY:TAG`; `*` is any run of characters */
  pattern: string;
  ttlMs: number;
}

/** How long each step of a request to an upstream may take. */
export interface UpstreamTimeouts {
  connectMs: number;
  /** From the request being sent to the response's head. */
  headersMs: number;
  /** Between two chunks of a body. */
  idleMs: number;
  /** How long a download that broke is tried again without a new byte. */
  stallMs: number;
  /** How long the HEAD for a tag that is known may take before the tag is served stale. */
  confirmMs: number;
  /** How long an endpoint that failed is left alone before it is tried again, at first; doubles up to a minute. */
  probeMs: number;
}

/** One registry that is mirrored. */
export interface UpstreamConfig extends EndpointConfig {
  /** The name that clients use: `docker.io`. Lower case. */
  host: string;
  /** Nearer copies, asked in this order before the registry itself. */
  mirrors: EndpointConfig[];
  /** Other names of this upstream in `ns` and in path prefixes. Lower case. */
  aliases: string[];
  /** `Host` headers that select this upstream: lower case, without port. */
  virtualHosts: string[];
  tagTtlMs: number;
  /** The first that matches goes before `tagTtlMs`. */
  freshness: TagRule[];
  /** For so long after its time to live a tag is served at once and confirmed behind; 0 is never. */
  staleWhileRevalidateMs: number;
  /** Whether a tag that is asked for shortly before its time to live ends is confirmed behind. */
  refreshAhead: boolean;
  /** Whether what upstream has deleted is served all the same. */
  keepDeleted: boolean;
  notFoundTtlMs: number;
  /** Patterns of repositories that are served with the credentials to whoever reaches the mirror. */
  private: string[];
  /** How long upstream's word that a repository is public holds; 0: it is asked each time. */
  publicTtlMs: number;
  /** How long upstream's word that a repository holds a digest holds; 0: it is asked each time. */
  grantTtlMs: number;
  /** Pulls of an account's limit that are kept for what clients wait for. */
  reserve: number | Share;
  /** Connections per origin and kind of request. */
  connections: number;
  timeouts: UpstreamTimeouts;
  /** Further attempts, without progress, for what is transient. */
  retries: number;
}

/** The limits of the registry listener. */
export interface HttpConfig {
  /** To receive the head of a request. */
  headerTimeoutMs: number;
  /** Without progress in writing to a client. */
  idleTimeoutMs: number;
  keepAliveMs: number;
  maxConnections: number;
  /** How long SIGTERM waits for responses and fills to finish. */
  drainMs: number;
}

/** A part of the file system that holds the data directory: `0.5` is half of it. */
export interface Share {
  share: number;
}

export interface StorageConfig {
  /** Absolute. */
  directory: string;
  maxBytes: number | Share;
  minFreeBytes: number;
  /** How fast stored content is hashed again in the background; 0 is never. */
  scrubBytesPerS: number;
}

/** A list of images that is fetched again and again. */
export interface ScheduleConfig {
  /** Absolute. The file need not be there yet. */
  list: string;
  everyMs: number;
  /** For images of which the list does not say it. */
  platforms: 'all' | string[];
  /** Whether what it names is kept from eviction for as long as it names it. */
  isPinning: boolean;
  /** Whether signatures, SBOMs and the like come too. */
  withReferrers: boolean;
}

export type LogLevel = (typeof logLevels)[number];
export type LogFormat = (typeof logFormats)[number];

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export const logFormats = ['json', 'text'] as const;

export interface LogConfig {
  level: LogLevel;
  format: LogFormat;
}

/** Proxies for requests to upstreams, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` give them. */
export interface ProxyConfig {
  http?: string;
  https?: string;
  no?: string;
}

/** Who is told the names of images by the admin listener: who asks from this machine, whoever asks, nobody. */
export type NamesPolicy = (typeof namesPolicies)[number];

export const namesPolicies = ['loopback', 'everyone', 'nobody'] as const;

/** Everything a daemon is built from. */
export interface Config {
  listen: Address;
  admin: Address;
  adminNames: NamesPolicy;
  /** Path of the control socket where it is not in the data directory. */
  control: string | undefined;
  storage: StorageConfig;
  /** By host; the default upstream is always there. */
  upstreams: ReadonlyMap<string, UpstreamConfig>;
  defaultUpstream: string;
  prewarm: ScheduleConfig[];
  offline: boolean;
  http: HttpConfig;
  log: LogConfig;
  proxy: ProxyConfig;
}
