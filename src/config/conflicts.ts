/** Owns the rules between keys: what each is valid for itself but not together. Pure. */
import { formatAddress, isSameAddress } from './address.ts';
import type { Problem } from './problems.ts';
import type { Config, UpstreamConfig } from './schema.ts';
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
