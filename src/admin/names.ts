/** Owns who is told the names of images by the admin listener. */
import { BlockList, isIP } from 'node:net';
import type { Caller } from './answers.ts';

/** `loopback` is who asks from this machine itself, under a name that leads nowhere else. */
export type NamesPolicy = 'loopback' | 'everyone' | 'nobody';

/**
 * @returns whether the caller is told names. A page of somebody else's whose host name was made to lead here (DNS
 *   rebinding) gives that name in `Host`; a proxy on this machine says for whom it asks.
 */
export function mayHearNames(policy: NamesPolicy, { address, headers }: Caller): boolean {
  if (policy !== 'loopback') return policy === 'everyone';
  const isForwarded = FORWARDING.some((name) => headers[name] !== undefined);
  return !isForwarded && isLoopback(address) && isLoopbackHost(headers.host);
}

const FORWARDING = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4'); // and ::ffff:127.0.0.0/104: a BlockList looks through mapped addresses
loopback.addAddress('::1', 'ipv6');

/** @returns whether an address is of this machine alone */
export function isLoopback(address: string | undefined): boolean {
  const version = isIP(address ?? '');
  return address !== undefined && version !== 0 && loopback.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function isLoopbackHost(host: string | undefined): boolean {
  const name = URL.parse(`http://${host ?? ''}`)?.hostname;
  return name === 'localhost' || name?.endsWith('.localhost') || isLoopback(name?.replace(/^\[|\]$/g, ''));
}
