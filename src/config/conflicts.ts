/** Owns the rules between keys: what each is valid for itself but not together. Pure. */
import { formatAddress, isSameAddress } from './address.ts';
import { meantOnHub } from './patterns.ts';
import { DEFAULT_UPSTREAM } from './presets.ts';
import type { Problem } from './problems.ts';
import type { Config, EndpointConfig, UpstreamConfig } from './schema.ts';
import type { KeyPath } from './settings.ts';

/** How the source that decides a key calls it. */
export type NameOf = (key: KeyPath) => string;

/** Every conflict in a configuration. Keys whose names are `faulty` are at their defaults and conflict with nothing. */
export function findConflicts(config: Config, nameOf: NameOf, faulty: ReadonlySet<string>): Problem[] {
  const isFaulty = faulty.has(nameOf(['listen'])) || faulty.has(nameOf(['admin']));
  return [
    ...(isFaulty ? [] : sameAddress(config, nameOf)),
    ...sharedNames(config, nameOf),
    ...sharedVirtualHosts(config, nameOf),
    ...[...config.upstreams.values()].flatMap((upstream) => [
      ...sharedAddresses(upstream, nameOf),
      ...vainTls(upstream, nameOf),
      ...vainPatterns(upstream, nameOf),
    ]),
    ...sharedLists(config, nameOf),
  ];
}

function sameAddress({ listen, admin }: Config, nameOf: NameOf): Problem[] {
  if (!isSameAddress(listen, admin)) return [];
  const expected = `another port than ${nameOf(['listen'])}, which is ${formatAddress(listen)}`;
  return [{ path: nameOf(['admin']), found: formatAddress(admin), expected }];
}

/** A name must lead to one upstream. Aliases claim first: they say for themselves whom they belong to. */
function sharedNames({ upstreams }: Config, nameOf: NameOf): Problem[] {
  const owners = new Map<string, string>();
  const problems: Problem[] = [];
  for (const { host, aliases } of upstreams.values()) {
    problems.push(...claim(owners, host, aliases, () => nameOf(['upstreams', host, 'aliases'])));
  }
  for (const { host } of upstreams.values()) {
    const owner = owners.get(host);
    if (owner === undefined || owner === host) continue;
    const expected = `settings under ${owner}: this is an alias of it`;
    problems.push({ path: nameOf(['upstreams', host]), found: undefined, expected });
  }
  return problems;
}

function sharedVirtualHosts({ upstreams }: Config, nameOf: NameOf): Problem[] {
  const owners = new Map<string, string>();
  return [...upstreams.values()].flatMap(({ host, virtualHosts }: UpstreamConfig) =>
    claim(owners, host, virtualHosts, () => nameOf(['upstreams', host, 'virtualHosts'])),
  );
}

/** Asking the same address again after it failed is what `retries` are for. */
function sharedAddresses({ host, url, mirrors }: UpstreamConfig, nameOf: NameOf): Problem[] {
  const addressOf = ({ href }: URL): string => href.replace(/\/$/, '');
  const seen = new Set([addressOf(url)]);
  return mirrors.flatMap(({ url: mirror }, at) => {
    const isKnown = seen.has(addressOf(mirror));
    seen.add(addressOf(mirror));
    const expected = 'another address than those before it and the url of the upstream';
    return isKnown
      ? [{ path: nameOf(['upstreams', host, 'mirrors', at]), found: mirror.href, expected }]
      : [];
  });
}

/** Who configures certificates believes that they are used. */
function vainTls(upstream: UpstreamConfig, nameOf: NameOf): Problem[] {
  const endpoints: [KeyPath, EndpointConfig][] = [
    [['upstreams', upstream.host, 'url'], upstream],
    ...upstream.mirrors.map((mirror, at): [KeyPath, EndpointConfig] => {
      return [['upstreams', upstream.host, 'mirrors', at, 'url'], mirror];
    }),
  ];
  return endpoints
    .filter(([, { url, tls }]) => url.protocol === 'http:' && (tls.isInsecure || tls.ca || tls.cert))
    .map(([key, { url }]) => ({
      path: nameOf(key),
      found: url.href,
      expected: 'a URL that begins with https://, as its tls is set',
    }));
}

/** Who writes a pattern believes that it matches something. */
function vainPatterns({ host, freshness, private: repositories }: UpstreamConfig, nameOf: NameOf): Problem[] {
  const patterns: [KeyPath, string][] = [
    ...freshness.map(({ pattern }): [KeyPath, string] => [
      ['upstreams', host, 'freshness', pattern],
      pattern,
    ]),
    ...repositories.map((pattern, at): [KeyPath, string] => [['upstreams', host, 'private', at], pattern]),
  ];
  return patterns.flatMap(([key, found]) => {
    const bare = found.startsWith(`${host}/`) ? found.slice(host.length + 1) : undefined;
    const meant = bare ?? (host === DEFAULT_UPSTREAM ? meantOnHub(found) : undefined);
    return meant === undefined ? [] : [{ path: nameOf(key), found, expected: meant }];
  });
}

/** What is pinned is known by its list: two schedules of one list would unpin each other's. */
function sharedLists({ prewarm }: Config, nameOf: NameOf): Problem[] {
  const seen = new Set<string>();
  return prewarm.flatMap(({ list }, at) => {
    const isKnown = seen.has(list);
    seen.add(list);
    const expected = 'another list than those before it: one list has one schedule';
    return isKnown ? [{ path: nameOf(['prewarm', at, 'list']), found: list, expected }] : [];
  });
}

function claim(
  owners: Map<string, string>,
  host: string,
  names: readonly string[],
  path: () => string,
): Problem[] {
  const problems: Problem[] = [];
  for (const name of names) {
    const owner = owners.get(name) ?? host;
    if (owner !== host)
      problems.push({ path: path(), found: name, expected: `names that ${owner} does not have` });
    owners.set(name, owner);
  }
  return problems;
}
