/** Owns the whole row of servers that an engine pulls through: token server, registry, hubcap. */

import type { Test } from 'tap';
import { type Hubcap, type HubcapOptions, startHubcap } from './hubcap.ts';
import { blobsFor, type Image, type ImageSpec, manifestsFor, pushImage } from './image.ts';
import { Push } from './push.ts';
import { type Registry, startRegistry } from './registry.ts';
import { startTokenServer, type TokenServer } from './token-server.ts';
import type { Counts } from './traffic.ts';

/** What the servers need from the machine. */
export const stackNeeds = ['docker-registry', 'openssl'] as const;

/** What something cost the upstream, by its own counts. */
export interface Cost {
  /** By digest, or by tag. */
  manifestGets: Counts;
  blobGets: Counts;
  /** Bytes sent of each blob. */
  blobBytes: Counts;
  /** Tokens for pulling, by repository. */
  tokens: Counts;
}

/** What a pull costs that costs the upstream nothing. */
export const nothing: Cost = { manifestGets: {}, blobGets: {}, blobBytes: {}, tokens: {} };

export interface Stack {
  tokens: TokenServer;
  upstream: Registry;
  hubcap: Hubcap;
  /** Puts an image into the upstream. */
  push(repository: string, spec: ImageSpec): Promise<Image>;
  /** Does something and tells what that cost the upstream. */
  cost(action: () => Promise<unknown>): Promise<Cost>;
}

export interface StackOptions extends Omit<HubcapOptions, 'upstreamUrl'> {
  /** Another name by which clients mean the same registry. */
  alsoAs?: string;
}

/** Starts all three, empty. */
export async function startStack(t: Test, { alsoAs, ...options }: StackOptions = {}): Promise<Stack> {
  const tokens = await startTokenServer(t);
  const upstream = await startRegistry(t, tokens);
  const also = alsoAs === undefined ? {} : { [alsoAs]: { url: upstream.url, realms: ['127.0.0.1'] } };
  const upstreams = { ...options.upstreams, ...also };
  const hubcap = await startHubcap(t, { upstreamUrl: upstream.url, ...options, upstreams });
  const pushed = new Set<string>();
  return {
    tokens,
    upstream,
    hubcap,
    async push(repository, spec) {
      pushed.add(repository);
      return pushImage(await Push.open(upstream.url, tokens, repository), spec);
    },
    async cost(action) {
      const earlier = await upstream.traffic();
      const tokensEarlier = countTokens(tokens, pushed);
      await action();
      const traffic = (await upstream.traffic()).since(earlier);
      return {
        manifestGets: traffic.manifestGets(),
        blobGets: traffic.blobGets(),
        blobBytes: traffic.blobBytes(),
        tokens: subtract(countTokens(tokens, pushed), tokensEarlier),
      };
    },
  };
}

/** What the first pull of an image may cost: each manifest and each blob once, and one token. */
export function onePull(repository: string, image: Image, ...architectures: string[]): Cost {
  const wanted = architectures.length === 0 ? ['amd64'] : architectures;
  const manifests = new Set(wanted.flatMap((architecture) => manifestsFor(image, architecture)));
  const blobBytes = Object.assign({}, ...wanted.map((architecture) => blobsFor(image, architecture)));
  return {
    manifestGets: once(manifests),
    blobGets: once(Object.keys(blobBytes)),
    blobBytes,
    tokens: { [repository]: 1 },
  };
}

/** The same cost with the tag under the digest that it names: hubcap may ask for either. */
export function byDigest(cost: Cost, image: Image): Cost {
  const { [image.tag]: byTag = 0, [image.digest]: byItsDigest = 0, ...others } = cost.manifestGets;
  const times = byTag + byItsDigest;
  return { ...cost, manifestGets: times === 0 ? others : { ...others, [image.digest]: times } };
}

function once(keys: Iterable<string>): Counts {
  return Object.fromEntries(Array.from(keys, (key) => [key, 1]));
}

function countTokens(tokens: TokenServer, repositories: Iterable<string>): Counts {
  return Object.fromEntries(Array.from(repositories, (name) => [name, tokens.issued(name)]));
}

function subtract(later: Counts, earlier: Counts): Counts {
  const differences = Object.entries(later).map(([key, n]) => [key, n - (earlier[key] ?? 0)] as const);
  return Object.fromEntries(differences.filter(([, n]) => n !== 0));
}
