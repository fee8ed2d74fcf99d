/** Owns connecting to a host step by step, so that what fails has a name: its address, the port, the certificate. */
import { lookup } from 'node:dns/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type TlsRules, tlsConnections } from '../upstream/tls.ts';
import { within } from './deadline.ts';

export type Step = 'dns' | 'tcp' | 'tls';

/** What a connection came to. */
export interface Connection {
  addresses: string[];
  /** where it broke off; undefined where all went well */
  failed: { step: Step; code: string } | undefined;
  /** undefined without TLS */
  certificate:
    | { validToMs: number; validFromMs: number; issuer: string; isProven: boolean; fault: string | undefined }
    | undefined;
}

/** Connects as hubcap would and hangs up; nothing is sent. Never rejects but with the signal's reason. */
export async function tryConnection(url: URL, tls: TlsRules, signal: AbortSignal): Promise<Connection> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = await resolve(host, signal);
  if (typeof addresses === 'string')
    return { addresses: [], failed: { step: 'dns', code: addresses }, certificate: undefined };
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const tcp = await open(connectTcp({ host, port }), 'connect', signal);
  if (typeof tcp === 'string')
    return { addresses, failed: { step: 'tcp', code: tcp }, certificate: undefined };
  if (url.protocol !== 'https:') {
    tcp.destroy();
    return { addresses, failed: undefined, certificate: undefined };
  }
  const socket = connectTls({
    ...tlsConnections(tls).own,
    socket: tcp,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: false, // nothing is sent: what is wrong with the certificate is to be told
  });
  const secure = await open(socket, 'secureConnect', signal);
  if (typeof secure === 'string') {
    tcp.destroy();
    return { addresses, failed: { step: 'tls', code: secure }, certificate: undefined };
  }
  const certificate = certificateOf(secure);
  secure.destroy();
  const failed =
    certificate.fault === undefined || tls.isInsecure
      ? undefined
      : { step: 'tls' as const, code: certificate.fault };
  return { addresses, failed, certificate };
}

async function resolve(host: string, signal: AbortSignal): Promise<string[] | string> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await within(lookup(host, { all: true }), signal)).map(({ address }) => address);
  } catch (error) {
    signal.throwIfAborted();
    return codeOf(error);
  }
}

/** @returns the open socket, or the code of the error */
async function open<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<S | string> {
  const opened = new Promise<S>((resolve, reject) => {
    socket.once(event, () => resolve(socket));
    socket.on('error', reject);
    socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
  });
  try {
    return await within(opened, signal);
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    return codeOf(error);
  }
}

function certificateOf(socket: TLSSocket): NonNullable<Connection['certificate']> {
  const { valid_to, valid_from, issuer } = socket.getPeerCertificate();
  const error: unknown = socket.authorizationError;
  const fault = socket.authorized || !error ? undefined : typeof error === 'string' ? error : codeOf(error);
  const text = (value: unknown): string => (Array.isArray(value) ? value.join(' ') : String(value ?? ''));
  return {
    validToMs: Date.parse(valid_to ?? ''),
    validFromMs: Date.parse(valid_from ?? ''),
    issuer: text(issuer?.O) || text(issuer?.CN) || 'nobody who is named',
    isProven: socket.authorized,
    fault,
  };
}

/** @returns the code of an error of the resolver, the socket or TLS; of several addresses that of the first */
export function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (!(error instanceof Error)) return 'unknown';
  if (error.name === 'LateError' || error.name === 'TimeoutError') return 'ETIMEDOUT';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? error.name : codeOf(error.cause);
}
