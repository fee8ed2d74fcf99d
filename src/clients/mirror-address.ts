/** Owns how the address of a mirror is written for clients, and what they make of it. Pure: the browser uses it too. */

/** What clients ask where no other registry is named. */
export const DOCKER_HUB = 'docker.io';

/** @returns whether clients reach the mirror without TLS */
export function isPlainHttp(url: URL): boolean {
  return url.protocol === 'http:';
}

/** @returns whether the address means the machine, or the container, that asks */
export function isLoopback({ hostname }: URL): boolean {
  return isLoopbackV4({ hostname }) || hostname === '[::1]';
}

/** Docker before 28 has `127.0.0.0/8` alone for insecure without being told, and not `::1`. */
export function isLoopbackV4({ hostname }: Pick<URL, 'hostname'>): boolean {
  return hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** @returns `host:port`, always with the port: a name without one can be taken for a part of an image's name */
export function hostWithPort(url: URL): string {
  if (url.port !== '') return url.host;
  return `${url.host}:${isPlainHttp(url) ? 80 : 443}`;
}

/** @returns where a client that says no `ns` finds an upstream: `127.0.0.1:5000`, `127.0.0.1:5000/ghcr.io` */
export function mirrorLocation(url: URL, upstream: string): string {
  return upstream === DOCKER_HUB ? hostWithPort(url) : `${hostWithPort(url)}/${upstream}`;
}

/** @returns the origin of a registry as containerd itself would ask it */
export function upstreamOrigin(upstream: string): string {
  if (upstream === DOCKER_HUB) return 'https://registry-1.docker.io';
  const host = new URL(`http://${upstream}`);
  const isOddPort = host.port !== '' && host.port !== '443';
  return `${isLoopback(host) && isOddPort ? 'http' : 'https'}://${upstream}`;
}

/** @returns `docker.io, ghcr.io and quay.io` */
export function listHosts(hosts: readonly string[]): string {
  if (hosts.length < 2) return hosts.join('');
  return `${hosts.slice(0, -1).join(', ')} and ${hosts.at(-1)}`;
}

/** @returns a string as JSON, TOML and YAML write it alike */
export function quote(text: string): string {
  return JSON.stringify(text);
}
