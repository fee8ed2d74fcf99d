/** Owns the address by which clients reach hubcap, as far as the page can know it. Pure. */
import type { PageStatus } from '../src/admin/status.ts';

/** @returns the host under which the page was opened, with scheme and port of the mirror; undefined without a mirror */
export function addressFor(listen: string | undefined, pageHostname: string): string | undefined {
  const url = URL.parse(listen ?? '');
  if (!url || pageHostname === '') return undefined;
  url.hostname = pageHostname;
  return url.origin;
}

const HOSTNAME = /^(?:[\w.-]+|\[[\da-f:.]+\])$/i;

/** @returns the address that somebody typed, `http://` where no scheme is said; undefined where it is none */
export function parseAddress(text: string): URL | undefined {
  const trimmed = text.trim();
  const url = URL.parse(/^https?:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`);
  if (!url || !HOSTNAME.test(url.hostname)) return undefined; // not all browsers refuse a host name with spaces
  const isPlain = url.username === '' && url.pathname === '/' && !url.search && !url.hash;
  return isPlain ? url : undefined;
}

/** @returns whether a host name is one for the machine itself */
export function isLoopbackName(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '');
  return (
    name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d+){3}$/.test(name)
  );
}

/** What somebody must know before the settings are of use. */
export interface Reach {
  level: 'good' | 'warn' | 'bad';
  text: string;
}

/** @returns whether clients get to hubcap under that address */
export function reachOf(
  { isLocalOnly, listen }: Pick<PageStatus, 'isLocalOnly' | 'listen'>,
  url: URL,
): Reach | undefined {
  const port = URL.parse(listen ?? '')?.port || '5000';
  if (isLocalOnly && !isLoopbackName(url.hostname))
    return {
      level: 'bad',
      text: `hubcap listens on its own machine alone (${listen}): nobody reaches it as ${url.host}. Set listen: 0.0.0.0:${port} in its configuration (or HUBCAP_LISTEN, or --listen) and start it again.`,
    };
  if (isLocalOnly)
    return {
      level: 'good',
      text: `For clients on the machine of hubcap. It listens there alone: for others, set listen: 0.0.0.0:${port} in its configuration and start it again.`,
    };
  if (isLoopbackName(url.hostname))
    return {
      level: 'warn',
      text: `${url.hostname} is each machine's own name for itself: for clients on other machines, write the name of this one above.`,
    };
  return undefined;
}
