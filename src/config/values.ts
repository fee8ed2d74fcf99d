/** Owns the meaning of each written value: unknown in, the typed value or what was expected out. Reads no file. */

import { formatDuration, parseBytes, parseDuration } from '../units.ts';
import { parseAddress, parseHost, parseRegistryHost } from './address.ts';
import type { Address, Share } from './schema.ts';

/** The refusal of a value: what should have been written. */
export class Expected {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Takes a written value, returns what it means or what was expected. */
export type Reader<T> = (value: unknown) => T | Expected;

const MIN_INTERVAL_MS = 60_000;
const MAX_PROBE_MS = 60_000;
/** The longest wait that a timer takes (2^31 - 1 ms) is under 25 days; a time-out of more than a day is a mistake. */
const MAX_TIMEOUT_MS = 86_400_000;
const MAX_TTL_MS = 365 * 86_400_000;
/** `sun_path` holds 108 bytes with its end on Linux. */
const MAX_SOCKET_PATH = 107;

const switches: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...[true, 'true', 'yes', 'on', '1'].map((word) => [word, true] as const),
  ...[false, 'false', 'no', 'off', '0'].map((word) => [word, false] as const),
]);

export const readSwitch: Reader<boolean> = (value) =>
  switches.get(typeof value === 'string' ? value.toLowerCase() : value) ?? new Expected('true or false');

export const readAddress: Reader<Address> = (value) =>
  (typeof value === 'string' ? parseAddress(value) : undefined) ??
  new Expected('an address: HOST:PORT, "[IPv6]:PORT", or :PORT for all interfaces');

export const readRegistryHost: Reader<string> = (value) =>
  (typeof value === 'string' ? parseRegistryHost(value) : undefined) ??
  new Expected('a registry host as in an image name (with a dot, a port, or localhost), such as ghcr.io');

export const readRealm: Reader<string> = (value) =>
  (typeof value === 'string' ? parseHost(value) : undefined) ??
  new Expected('HOST or HOST:PORT of a token server, without scheme and path');

export const readVirtualHost: Reader<string> = (value) => {
  const host = typeof value === 'string' ? parseHost(value) : undefined;
  const isBare = host !== undefined && !/:\d+$/.test(host);
  return isBare ? host : new Expected('a host name without port, as clients send it in the Host header');
};

/** `number` bytes, or text with a unit. */
export function readBytes(min: number): Reader<number> {
  return (value) => {
    const bytes = parseBytes(
      typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '',
    );
    if (bytes === undefined) return new Expected('a size such as 50GiB, 512MiB or 10GB');
    return bytes >= min ? bytes : new Expected(`a size of at least ${min}B`);
  };
}

/** A size, or a share of the file system such as `50%`. */
export const readBudget: Reader<number | Share> = (value) => {
  const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?) ?%$/.exec(value)?.[1] : undefined;
  if (percent !== undefined) {
    const share = Number(percent) / 100;
    return share >= 0.01 && share <= 0.95 ? { share } : new Expected('a share between 1% and 95%');
  }
  const bytes = readBytes(1)(value);
  return bytes instanceof Expected ? new Expected('a size such as 50GiB, or a share such as 50%') : bytes;
};

/** A number of pulls, or a share of a limit such as `10%`; `0` is none. */
export const readReserve: Reader<number | Share> = (value) => {
  const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?) ?%$/.exec(value)?.[1] : undefined;
  const reserve = percent === undefined ? readCount(0, 1_000_000)(value) : { share: Number(percent) / 100 };
  const isTooMuch = typeof reserve === 'object' && 'share' in reserve && reserve.share > 0.95;
  if (reserve instanceof Expected || isTooMuch)
    return new Expected('a number of pulls, or a share of the limit of at most 95%, such as 10%');
  return typeof reserve === 'object' && reserve.share === 0 ? 0 : reserve;
};

/** How long something may be believed; `0s` is never. */
export const readTtl: Reader<number> = readDuration(0, MAX_TTL_MS);
/** How long something may take; no wait is without an end, so `0s` is refused. */
export const readTimeout: Reader<number> = readDuration(1, MAX_TIMEOUT_MS);
/** How long something is waited for, if at all. */
export const readPatience: Reader<number> = readDuration(0, MAX_TIMEOUT_MS);
/** How long who failed is left alone; it doubles up to what is the most here. */
export const readProbe: Reader<number> = readDuration(1, MAX_PROBE_MS);

/** How often something is done by itself. */
export const readInterval: Reader<number> = readDuration(MIN_INTERVAL_MS, MAX_TTL_MS);

function readDuration(minMs: number, maxMs: number): Reader<number> {
  return (value) => {
    const isBare = typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value));
    if (isBare) return new Expected(`a duration with a unit: ${value}s? ${value}ms? ${value}m?`);
    const durationMs = typeof value === 'string' ? parseDuration(value) : undefined;
    if (durationMs === undefined) return new Expected('a duration such as 30s, 500ms or 1m30s');
    if (durationMs < minMs)
      return new Expected(
        minMs === 1 ? 'a duration longer than 0s' : `a duration of at least ${formatDuration(minMs)}`,
      );
    return durationMs <= maxMs ? durationMs : new Expected(`a duration of at most ${formatDuration(maxMs)}`);
  };
}

/** A whole number, also as text: environment variables have no numbers. */
export function readCount(min: number, max: number): Reader<number> {
  return (value) => {
    const isNumeric = typeof value === 'number' || (typeof value === 'string' && /^\d+$/.test(value));
    const count = isNumeric ? Number(value) : Number.NaN;
    const isWithin = Number.isInteger(count) && count >= min && count <= max;
    return isWithin ? count : new Expected(`a whole number from ${min} to ${max}`);
  };
}

/** The address of a registry: origin and path, nothing that would have to be sent or kept secret. */
export const readUpstreamUrl: Reader<URL> = (value) => {
  const url = httpUrl(value);
  if (url === undefined) return new Expected('a URL that begins with https:// or http://');
  if (url.username !== '' || url.password !== '') {
    return new Expected(
      'a URL without user and password: they belong in credentials (HUBCAP_USERNAME, HUBCAP_PASSWORD)',
    );
  }
  if (url.search !== '' || url.hash !== '') return new Expected('a URL without ? and #');
  if (/\/v2\/?$/.test(url.pathname)) return new Expected('the URL in front of /v2, which is added');
  return url;
};

/** A forward proxy; without a scheme it is taken for http, as curl does. */
export const readProxyUrl: Reader<string> = (value) => {
  const isBare = typeof value === 'string' && value !== '' && !value.includes('://');
  const url = httpUrl(isBare ? `http://${value}` : value);
  return url?.href ?? new Expected('the URL of an http or https proxy, such as http://proxy:3128');
};

/** Hosts that are reached without the proxy: a list, or text as in NO_PROXY. */
export const readNoProxy: Reader<string> = (value) => {
  const hosts = Array.isArray(value) ? value : [value];
  const isText = hosts.every((host) => typeof host === 'string');
  return isText ? hosts.join(',') : new Expected('hosts separated by commas, or a list of hosts');
};

export const readText: Reader<string> = (value) => {
  if (typeof value !== 'string') return new Expected('text; put a number in quotes');
  return value === '' ? new Expected('text that is not empty') : value;
};

/** HTTP Basic authentication ends the user name at the first colon (RFC 7617, section 2). */
export const readUsername: Reader<string> = (value) => {
  const name = readText(value);
  return typeof name === 'string' && name.includes(':') ? new Expected('a user name without a colon') : name;
};

export const readPath: Reader<string> = (value) =>
  typeof value === 'string' && value !== '' && !value.includes('\0') ? value : new Expected('a path');

/** A path, made absolute by `expand`, at which a socket can be bound. */
export function readSocketPath(expand: (path: string) => string): Reader<string> {
  return (value) => {
    const path = readPath(value);
    if (path instanceof Expected) return path;
    const absolute = expand(path);
    const isShort = Buffer.byteLength(absolute) <= MAX_SOCKET_PATH;
    return isShort ? absolute : new Expected(`a path of at most ${MAX_SOCKET_PATH} bytes, as sockets need`);
  };
}

export function readChoice<const T extends string>(choices: readonly T[]): Reader<T> {
  return (value) =>
    choices.find((choice) => choice === value) ?? new Expected(`one of ${choices.join(', ')}`);
}

function httpUrl(value: unknown): URL | undefined {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  return url !== null && ['http:', 'https:'].includes(url.protocol) && /^https?:\/\//i.test(String(value))
    ? url
    : undefined;
}
