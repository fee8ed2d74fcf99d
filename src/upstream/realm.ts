/** Owns the question whether a token server belongs to its upstream. Pure. */

/**
 * A realm is trusted where it is on the upstream's own host, or on a host that the configuration (or the preset)
 * names; and never over plain HTTP for an upstream that is asked over HTTPS. Anything else could be an attacker
 * who wants credentials (CVE-2026-33540), or a probe into the network.
 * @param realm as the challenge says
 * @param upstream the upstream's address
 * @param trusted hosts, `host` (any port) or `host:port`
 * @returns the realm's URL, undefined where it is not trusted
 */
export function trustedRealm(realm: string, upstream: URL, trusted: readonly string[]): URL | undefined {
  if (!URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  if (url.username || url.password) return undefined;
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && upstream.protocol === 'http:'))
    return undefined;
  return url.host === upstream.host || isNamed(url.host, trusted) ? url : undefined;
}

/**
 * @param host with its port, where that is not the scheme's own
 * @param names `host` (any port) or `host:port`
 */
export function isNamed(host: string, names: readonly string[]): boolean {
  return names.includes(host) || names.includes(host.replace(/:\d+$/, ''));
}
