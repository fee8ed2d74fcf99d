/** Owns who is told the names of images by the admin listener. */
import { BlockList, isIP } from 'node:net';
import type { Caller } from './answers.ts';

/** `loopback` is who asks from this machine itself, under a name that leads nowhere else. */
export type NamesPolicy = 'loopback' | 'everyone' | 'nobody';

/**
 * @returns whether the caller is told names. A page of somebody else's whose host name was made to lead here (DNS
 *   rebinding) gives that name in `Host`; a proxy on this machine says for whom it asks.
 */
export function mayHearNames(policy: NamesPolicy, { address, headers, httpVersion }: Caller): boolean {
  if (policy !== 'loopback') return policy === 'everyone';
  // nginx by its defaults says for whom it asks in no header, gives its own address as Host, and speaks HTTP/1.0.
  const isForwarded = httpVersion === '1.0' || FORWARDING.some((name) => headers[name] !== undefined);
  return !isForwarded && isLoopback(address) && isLoopbackHost(headers.host);
}

const FORWARDING = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-server',
  'x-real-ip',
  'x-client-ip',
  'cf-connecting-ip',
  'true-client-ip',
  'via',
];

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4'); // and ::ffff:127.0.0.0/104: a BlockList looks through mapped addresses
loopback.addAddress('::1', 'ipv6');

/** @returns whether an address is of this machine alone */
export function isLoopback(address: string | undefined): boolean {
  const version = isIP(address ?? '');
  return address !== undefined && version !== 0 && loopback.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

/** RFC 9110, section 7.2: a host and perhaps a port, and nothing that a URL might hold besides. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

function isLoopbackHost(host = ''): boolean {
  if (!HOST.test(host)) return false;
  const name = URL.parse(`http://${host}`)?.hostname;
  return name === 'localhost' || name?.endsWith('.localhost') || isLoopback(name?.replace(/^\[|\]$/g, ''));
}
