/** Owns which addresses dockerd takes as mirrors and insecure registries, as its own validation has it. Pure. */
import { isLoopback, isPlainHttp } from '../../clients/mirror-address.ts';
import { DEFAULT_INSECURE } from '../../clients/snippets/docker.ts';
import { quoted } from '../redact.ts';

/** Why an entry is of no use. */
export interface EntryFault {
  /** of the finding, behind `docker.` */
  id: string;
  /** follows the quoted entry */
  what: string;
  remedy: string;
  refused: Refusing;
}

/** Which dockerd do not start with it. */
export type Refusing = 'all' | 'none' | 'older' | 'newer';

/**
 * moby `registry.ValidateMirror`: a URL of http or https, without userinfo, query and fragment; before Docker 25
 * without a path, too, but for one slash.
 */
export function mirrorFault(entry: string): EntryFault | undefined {
  const fault = (id: string, what: string, remedy: string, refused: Refusing = 'all') => {
    return { id: `mirror.${id}`, what, remedy, refused };
  };
  if (/[\s\p{Cc}]/u.test(entry)) return fault('space', 'has a space in it', 'remove the space');
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(entry) ?? [];
  if (/^https?:(?!\/\/)/i.test(entry))
    return fault('scheme', 'has no // behind the scheme', 'write http://HOST:PORT', 'newer');
  if (scheme === '') return fault('scheme', 'has no scheme', `write "http://${hostIn(entry)}"`);
  if (!/^https?$/i.test(scheme))
    return fault('scheme', `has the scheme ${quoted(scheme)}`, 'write http:// or https://');
  const [, authority = '', path = '', tail = ''] = /^([^/?#]*)([^?#]*)(.*)$/s.exec(rest) ?? [];
  if (authority.includes('@'))
    return fault('credentials', 'has a user name in it', 'remove it: Docker allows no credentials here');
  const host = authority.replace(/:\d*$/, '');
  if (/:/.test(host) && !/^\[.*\]$/.test(host))
    return /^[0-9a-f:.]+$/i.test(host) && host.split(':').length > 2
      ? fault('host', 'has an IPv6 address without brackets', 'write http://[::1]:5000', 'none')
      : fault('port', 'has a port that is no number', 'write http://HOST:PORT');
  if (host === '' || host === '[]') return fault('host', 'names no host', 'write http://HOST:PORT', 'none');
  if (Number(/:(\d+)$/.exec(authority)?.[1] ?? 1) > 65_535)
    return fault('port', 'has a port that is none', 'write a port of 1 to 65535', 'none');
  if (tail.length > 1) return fault('query', 'has a ? or # in it', 'give the address alone');
  if (path !== '' && path !== '/')
    return fault('path', `has the path ${quoted(path)}`, 'give the address alone, without a path', 'older');
  return undefined;
}

/**
 * moby `loadInsecureRegistries`: `HOST`, `HOST:PORT` or a CIDR. http:// and https:// are stripped with a word in the log;
 * the BuildKit in Docker before 24 needs them.
 */
export function insecureFault(entry: string): EntryFault | undefined {
  const fault = (id: string, what: string, remedy: string, refused: Refusing = 'all') => {
    return { id: `insecure.${id}`, what, remedy, refused };
  };
  const scheme = /^(.*?):\/\//s.exec(entry)?.[1];
  const bare = scheme === undefined ? entry : entry.slice(scheme.length + 3);
  if (scheme !== undefined && !/^https?$/i.test(scheme))
    return fault('scheme', 'has a scheme', `write "${hostIn(entry)}"`);
  if (/^-|-$/.test(entry)) return fault('host', 'begins or ends with a hyphen', 'write HOST:PORT');
  if (isCidr(bare)) return undefined;
  if (bare === '') return fault('host', 'is empty', 'remove it, or write HOST:PORT');
  if (/[\s/?#@]/.test(bare))
    return fault('path', 'is more than a host and a port', 'write HOST:PORT, or a CIDR');
  const port = /^(?:\[[^\]]*\]|[^:]*):(.*)$/s.exec(bare)?.[1];
  if (port !== undefined && port.split(':').length === 1 && (!/^\d*$/.test(port) || Number(port) > 65_535))
    return fault('port', 'has a port that is none', 'write HOST:PORT');
  return undefined;
}

/**
 * `docker pull` takes the scheme that a mirror is given with, the BuildKit in Docker before 29 does not: it speaks TLS
 * to what is neither on the loopback nor insecure (moby, daemon.RegistryHosts).
 * @param insecure entries of insecure-registries
 * @returns whether `docker build` may go past a mirror that `docker pull` uses
 */
export function isForPullsAlone(url: URL, insecure: readonly string[]): boolean {
  if (!isPlainHttp(url) || isLoopback(url)) return false;
  const bare = insecure.map((entry) => entry.replace(/^https?:\/\//i, ''));
  // Whether a CIDR has the address, a name behind it included, is Docker's to say.
  return !bare.some((entry) => entry === url.host || (isCidr(entry) && !DEFAULT_INSECURE.includes(entry)));
}

/** @returns for whom a file with the fault is the end, as a part of a sentence */
export function consequence(refused: Refusing): string {
  return {
    all: 'Docker does not start',
    older: 'older Docker does not start',
    newer: 'newer Docker does not start',
    none: 'Docker makes nothing of it',
  }[refused];
}

function isCidr(text: string): boolean {
  return /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]+)\/\d{1,3}$/i.test(text);
}

function hostIn(entry: string): string {
  const rest = entry.replace(/^.*?:\/\//s, '').replace(/^.*@/s, '');
  return /^[\w.:[\]-]+/.exec(rest)?.[0] ?? 'HOST:PORT';
}
