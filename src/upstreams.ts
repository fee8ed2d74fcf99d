/** Owns the upstreams of a running hubcap: made from a configuration, and from another one without a break. */
import type { Config, UpstreamConfig } from './config/schema.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { type UpstreamEntry, UpstreamTable } from './mirror/mirrored-upstream.ts';
import { introduceUpstream, observeUpstream } from './observers.ts';
import type { OfflineSwitch } from './upstream/offline-switch.ts';
import { Upstream } from './upstream/upstream.ts';

export interface UpstreamsContext {
  metrics: Metrics;
  log: Logger;
  offline: OfflineSwitch;
  now: () => number;
}

/** Hosts of upstreams. */
export interface UpstreamChanges {
  added: string[];
  changed: string[];
  removed: string[];
}

/** A client, and all that it was made from. */
interface Made {
  client: Upstream;
  settings: string;
}

export class Upstreams {
  readonly table: UpstreamTable;
  readonly #context: UpstreamsContext;
  readonly #retiring = new Set<Upstream>();
  #config: Config;
  #made: ReadonlyMap<string, Made>;

  constructor(config: Config, context: UpstreamsContext) {
    this.#context = context;
    this.#config = config;
    this.#made = this.#make(config, new Map());
    for (const host of this.#made.keys()) introduceUpstream(context.metrics, host);
    this.table = new UpstreamTable(entriesOf(config, this.#made), config.defaultUpstream);
    this.#showEndpoints();
  }

  /**
   * Makes what another configuration needs. A client whose settings are the same goes on with its tokens, rests and
   * circuits.
   * @returns what puts it into effect, all at once, and cannot fail
   * @throws what making a client throws; nothing has changed then
   */
  prepare(config: Config): () => UpstreamChanges {
    const made = this.#make(config, this.#made);
    const entries = entriesOf(config, made);
    return () => {
      const [before, clients] = [this.#config, this.#made];
      this.#hideEndpoints();
      this.table.replace(entries, config.defaultUpstream);
      this.#config = config;
      this.#made = made;
      this.#count(clients);
      this.#showEndpoints();
      for (const [host, { client }] of clients) {
        const successor = made.get(host)?.client;
        if (successor !== client) this.#retire(client, successor);
      }
      return changesBetween(before, config);
    };
  }

  /** Ends all connections; what runs fails. */
  async close(): Promise<void> {
    const current = [...this.#made.values()].map(({ client }) => client);
    await Promise.all([...current, ...this.#retiring].map((client) => client.close()));
  }

  #make(config: Config, before: ReadonlyMap<string, Made>): Map<string, Made> {
    const made = new Map<string, Made>();
    for (const [host, upstream] of config.upstreams) {
      const settings = clientSettings(upstream, config);
      const last = before.get(host);
      made.set(
        host,
        last?.settings === settings ? last : { settings, client: this.#connect(upstream, config) },
      );
    }
    return made;
  }

  #connect(upstream: UpstreamConfig, { proxy }: Config): Upstream {
    const { metrics, log, offline, now } = this.#context;
    const observed = observeUpstream(metrics, log, upstream.host);
    const client: Upstream = new Upstream({
      ...upstream,
      proxy,
      offline,
      observer: {
        ...observed,
        // One that retires may find an address down that its successor finds up.
        endpoint: (...told) => {
          if (!this.#retiring.has(client)) observed.endpoint(...told);
        },
      },
      now,
    });
    return client;
  }

  /** What runs on it may end; see `Upstream.retire`. */
  #retire(client: Upstream, successor: Upstream | undefined): void {
    this.#retiring.add(client);
    client.retire(successor).then(() => this.#retiring.delete(client));
  }

  /** What a new client is asked is counted on; of an upstream that is gone nothing is left. */
  #count(before: ReadonlyMap<string, Made>): void {
    const { metrics } = this.#context;
    for (const [host, { client }] of this.#made)
      if (before.get(host)?.client !== client) introduceUpstream(metrics, host);
    for (const host of before.keys()) if (!this.#made.has(host)) metrics.forget(host);
  }

  #showEndpoints(): void {
    const { metrics, log } = this.#context;
    for (const { host, client } of this.table.all()) {
      for (const { url, state, isInsecure } of client.endpoints) {
        const labels = { upstream: host, endpoint: new URL(url).host };
        metrics.endpointUp.set(labels, state === 'down' ? 0 : 1);
        if (isInsecure)
          log.warn(
            labels,
            'INSECURE: whoever answers there is believed, and given what is meant for the registry',
          );
      }
    }
  }

  #hideEndpoints(): void {
    for (const { host, client } of this.table.all()) {
      for (const { url } of client.endpoints)
        this.#context.metrics.endpointUp.remove({ upstream: host, endpoint: new URL(url).host });
    }
  }
}

function entriesOf({ upstreams }: Config, made: ReadonlyMap<string, Made>): UpstreamEntry[] {
  return [...upstreams.values()].flatMap((config) => {
    const client = made.get(config.host)?.client;
    return client ? [{ ...mirrorSettings(config), client }] : [];
  });
}

/** What the mirror, and not its client, goes by. */
function mirrorSettings(config: UpstreamConfig): Omit<UpstreamEntry, 'client'> {
  return {
    host: config.host,
    aliases: config.aliases,
    virtualHosts: config.virtualHosts,
    tagTtlMs: config.tagTtlMs,
    freshness: config.freshness,
    staleWhileRevalidateMs: config.staleWhileRevalidateMs,
    refreshAhead: config.refreshAhead,
    keepDeleted: config.keepDeleted,
    private: config.private,
    publicTtlMs: config.publicTtlMs,
    grantTtlMs: config.grantTtlMs,
    notFoundTtlMs: config.notFoundTtlMs,
    confirmMs: config.timeouts.confirmMs,
  };
}

/** Everything else, to be compared and never shown: it holds secrets. Where a certificate was read makes no difference. */
function clientSettings(config: UpstreamConfig, { proxy }: Config): string {
  const { confirmMs: _, ...mirrored } = mirrorSettings(config);
  const isOthers = (key: string): boolean => key === 'files' || Object.hasOwn(mirrored, key);
  return JSON.stringify({ ...config, proxy }, (key, value: unknown) => (isOthers(key) ? undefined : value));
}

function changesBetween(before: Config, after: Config): UpstreamChanges {
  const hosts = [...before.upstreams.keys()];
  return {
    added: [...after.upstreams.keys()].filter((host) => !before.upstreams.has(host)),
    removed: hosts.filter((host) => !after.upstreams.has(host)),
    changed: hosts.filter((host) => {
      const next = after.upstreams.get(host);
      return next && JSON.stringify(next) !== JSON.stringify(before.upstreams.get(host));
    }),
  };
}
