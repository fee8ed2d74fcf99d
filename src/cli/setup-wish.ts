/** Owns what a client is set up for: the address of hubcap and the registries that it mirrors. */
import type { SnippetWish } from '../clients/snippet.ts';
import { parseRegistryHost } from '../config/address.ts';
import type { Flags } from '../config/load.ts';
import type { Address, Config } from '../config/schema.ts';
import { configFrom } from './options.ts';
import { ReportedError } from './reported-error.ts';

export interface WishOptions {
  url?: string | undefined;
  upstream?: string[] | undefined;
}

export interface SetupWish extends SnippetWish {
  /** what its user should know about the address and the registries */
  notes: string[];
}

/**
 * The configuration is read only where the options leave something open.
 * @throws ConfigError, or ReportedError where hubcap's address is not known
 */
export function wishFrom({ url, upstream }: WishOptions, flags: Flags): SetupWish {
  const isComplete = url !== undefined && upstream !== undefined;
  const config = isComplete ? undefined : configFrom(flags);
  const { upstreams, notes } = upstreamsFrom(upstream, config);
  if (url !== undefined) return { url: parseOrigin(url), upstreams, notes };
  const { listen } = config ?? configFrom(flags);
  const address = originOf(listen);
  return { url: address.url, upstreams, notes: [...address.notes, ...notes] };
}

function upstreamsFrom(
  wanted: readonly string[] | undefined,
  config: Config | undefined,
): { upstreams: string[]; notes: string[] } {
  const known = [...(config?.upstreams.keys() ?? [])];
  if (wanted === undefined) return { upstreams: known, notes: [] };
  const upstreams = [...new Set(wanted.map(parseUpstream))];
  const unknown = config ? upstreams.filter((host) => !known.includes(host)) : [];
  return {
    upstreams,
    notes: unknown.map((host) => `hubcap's configuration does not have ${host}: add it under upstreams.`),
  };
}

/** @returns the host, as clients name it @throws Error that says what is expected */
export function parseUpstream(text: string): string {
  const host = parseRegistryHost(text);
  if (host !== undefined) return host;
  throw new Error(
    `--upstream ${text}: name a registry as images do: docker.io, ghcr.io, registry.example:5000`,
  );
}

/** @returns scheme, host and port @throws Error that says what is expected */
export function parseOrigin(text: string): URL {
  const expected = `expected the address by which clients reach hubcap, such as http://10.0.0.5:5000`;
  if (!URL.canParse(text)) throw new Error(`--url: ${expected}`);
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw new Error('--url must not have a login in it');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`--url ${text}: ${expected}`);
  if (url.pathname !== '/' || /[?#]/.test(text) || url.port === '0')
    throw new Error(`--url ${text}: ${expected}, with nothing behind the port`);
  return url;
}

function originOf({ host, port }: Address): { url: URL; notes: string[] } {
  if (port === 0)
    throw new ReportedError(
      'hubcap listens on a port that is not known before it starts (listen is …:0): name its address with --url',
      undefined,
      'configuration',
    );
  const isEverywhere = ['', '0.0.0.0', '::'].includes(host);
  const name = isEverywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  const note = `hubcap listens on all interfaces. 127.0.0.1 is for clients on its own machine; for others give --url http://ADDRESS:${port}.`;
  return { url: new URL(`http://${name}:${port}`), notes: isEverywhere ? [note] : [] };
}
