/** Owns the set of upstreams that hubcap mirrors, and the names by which clients may name them. */
import type { Upstream } from '../upstream/upstream.ts';

/** The object of a host stays the same for as long as the daemon runs; reloading changes what is in it. */
export interface MirroredUpstream {
  /** the name that clients use, and that the catalog files its repositories under */
  readonly host: string;
  client: Upstream;
  /** how long a tag is what upstream last said it is */
  tagTtlMs: number;
  /** the first pattern (`REPOSITORY` or `REPOSITORY:TAG`, `*` is anything) that matches goes before `tagTtlMs` */
  freshness: readonly { pattern: string; ttlMs: number }[];
  /** for so long after that a tag is served at once and confirmed behind */
  staleWhileRevalidateMs: number;
  /** whether a tag that is asked for shortly before its time ends is confirmed behind */
  refreshAhead: boolean;
  /** whether what upstream has deleted is served all the same */
  keepDeleted: boolean;
  /** patterns of repositories that are served with upstream's credentials to whoever reaches the mirror */
  private: readonly string[];
  /** how long upstream's word that a repository is public holds */
  publicTtlMs: number;
  /** how long upstream's word that a repository holds a digest holds */
  grantTtlMs: number;
  /** how long upstream's "no such thing" is remembered */
  notFoundTtlMs: number;
  /** how long upstream may take to confirm a tag before it is served stale */
  confirmMs: number;
}

export interface UpstreamEntry extends MirroredUpstream {
  aliases: readonly string[];
  virtualHosts: readonly string[];
}

/** A closed look-up: what is not configured is not found, and never dialled. */
export class UpstreamTable {
  /** every upstream that was ever here, by host: one that comes back is the same object */
  readonly #known = new Map<string, UpstreamEntry>();
  #byName = new Map<string, UpstreamEntry>();
  #byVirtualHost = new Map<string, UpstreamEntry>();
  #all: readonly UpstreamEntry[] = [];
  #defaultHost: string;

  /** @throws Error where `defaultHost` is none of the entries */
  constructor(entries: readonly UpstreamEntry[], defaultHost: string) {
    this.#defaultHost = defaultHost;
    this.replace(entries, defaultHost);
  }

  /**
   * Has these upstreams in place of those before. Who holds an upstream that stays sees what is new of it; who holds
   * one that goes keeps it as it was.
   * @throws Error where `defaultHost` is none of the entries; nothing is replaced then
   */
  replace(entries: readonly UpstreamEntry[], defaultHost: string): void {
    if (!entries.some(({ host, aliases }) => host === defaultHost || aliases.includes(defaultHost)))
      throw new Error(`the default upstream ${defaultHost} is not configured`);
    this.#defaultHost = defaultHost;
    this.#all = entries.map((entry) => Object.assign(this.#known.get(entry.host) ?? entry, entry));
    this.#byName = new Map();
    this.#byVirtualHost = new Map();
    for (const entry of this.#all) {
      this.#known.set(entry.host, entry);
      for (const name of [entry.host, ...entry.aliases]) this.#byName.set(name, entry);
      for (const name of entry.virtualHosts) this.#byVirtualHost.set(name, entry);
    }
  }

  get default(): MirroredUpstream {
    const found = this.#byName.get(this.#defaultHost);
    if (!found) throw new Error(`the default upstream ${this.#defaultHost} is not configured`);
    return found;
  }

  /** @param name a host as in `ns` or in a path, in any case */
  named(name: string): MirroredUpstream | undefined {
    // Some letters outside ASCII become ASCII in lower case.
    return /^[\x21-\x7e]+$/.test(name) ? this.#byName.get(name.toLowerCase()) : undefined;
  }

  /** @param hostHeader the request's `Host`, with or without a port */
  atVirtualHost(hostHeader: string | undefined): MirroredUpstream | undefined {
    if (this.#byVirtualHost.size === 0 || hostHeader === undefined) return undefined;
    return this.#byVirtualHost.get(hostHeader.replace(/:\d*$/, '').toLowerCase());
  }

  all(): readonly MirroredUpstream[] {
    return this.#all;
  }
}
