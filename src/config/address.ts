/** Owns how network names are written: listening addresses, registry hosts, virtual hosts. Pure. */
import { isIPv6 } from 'node:net';
import type { Address } from './schema.ts';

const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const hostName = new RegExp(`^${label}(?:\\.${label})*$`);

/** `HOST:PORT`, `[::1]:5000`, or `:5000` for all interfaces (an empty host). `undefined` for anything else. */
export function parseAddress(text: string): Address | undefined {
  const { host, port } = splitPort(text.toLowerCase());
  if (port === undefined || host === undefined) return undefined;
  return host === '' || isHostName(host) ? { host: unbracket(host), port } : undefined;
}

/** The address as `parseAddress` reads it back. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Whether two listeners could not both bind: the same port, which is not 0, on hosts that overlap. */
export function isSameAddress(a: Address, b: Address): boolean {
  const everywhere = ['', '::', '0.0.0.0'];
  const hosts = [a.host, b.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  const overlap = hosts[0] === hosts[1] || hosts.some((host) => everywhere.includes(host));
  return a.port !== 0 && a.port === b.port && overlap;
}

/** `host` or `host:port` in lower case, without scheme or path; `undefined` for anything else. */
export function parseHost(text: string): string | undefined {
  const { host, port } = splitPort(text.toLowerCase());
  if (host === undefined || !isHostName(host)) return undefined;
  return port === undefined ? host : `${host}:${port}`;
}

/**
 * A host by which image names can address a registry: like `parseHost`, and with a dot, a port or `localhost`, since
 * image names take any other first component for a namespace of Docker Hub.
 */
export function parseRegistryHost(text: string): string | undefined {
  const host = parseHost(text);
  if (host === undefined || host.includes('_')) return undefined;
  return /[.:]/.test(host) || host === 'localhost' ? host : undefined;
}

/** Splits off `:PORT`. The host is `undefined` where the port is no port, and keeps the brackets of IPv6. */
function splitPort(text: string): { host?: string; port?: number } {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return {};
  const [, host = '', digits] = match;
  if (digits === undefined) return { host };
  const port = Number(digits);
  return port <= 65_535 ? { host, port } : {};
}

function isHostName(host: string): boolean {
  if (host.startsWith('[')) return isIPv6(unbracket(host)) && !host.includes('%');
  return host.length <= 253 && hostName.test(host);
}

function unbracket(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
