/** Owns trying a mirror that a client names: who answers there, if anybody. */
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { codeOf } from '../connection.ts';
import { stepSignal } from '../deadline.ts';

export type Answerer =
  | { kind: 'hubcap' | 'registry' | 'other'; status: number; isProven: boolean; url: URL }
  /** `code` of the socket or TLS */
  | { kind: 'nobody'; code: string; url: URL };

const STEP_MS = 5_000;

/** Asks whether a registry is there (distribution-spec, "Determining Support"). Never rejects but with the signal's reason. */
export async function tryMirror(mirror: URL, ca: readonly string[], signal: AbortSignal): Promise<Answerer> {
  const url = new URL('/v2/', mirror.origin);
  try {
    const response = await ask(url, ca, stepSignal(signal, STEP_MS));
    const { socket, headers, statusCode: status = 0 } = response;
    const isProven = url.protocol === 'http:' || (socket as TLSSocket).authorized === true;
    response.destroy();
    const isRegistry = headers['docker-distribution-api-version'] !== undefined || isChallenge(response);
    const isHubcap = /^hubcap\b/.test(String(headers.server ?? ''));
    return { kind: isHubcap ? 'hubcap' : isRegistry ? 'registry' : 'other', status, isProven, url };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { kind: 'nobody', code: codeOf(error), url };
  }
}

/** A registry that wants a login, or one that does not name itself. */
function isChallenge({ statusCode, headers }: IncomingMessage): boolean {
  if (statusCode === 401) return /^(?:bearer|basic)\b/i.test(String(headers['www-authenticate'] ?? ''));
  return statusCode === 200 && /json/.test(headers['content-type'] ?? '');
}

function ask(url: URL, ca: readonly string[], signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    // Nothing is sent that must stay secret: whose certificate it is, is to be told.
    const secure = { rejectUnauthorized: false, ...(ca.length > 0 && { ca: [...ca] }) };
    const options = { agent: false, signal, headers: { 'user-agent': 'hubcap' } };
    const call =
      url.protocol === 'https:' ? requestSecure(url, { ...options, ...secure }) : requestPlain(url, options);
    call.on('response', resolve);
    call.on('error', (error) => reject(signal.aborted ? signal.reason : error));
    call.end();
  });
}
