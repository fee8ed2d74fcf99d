/** Owns one request and its answer, and what is logged and counted of it at its end. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from '../mirror/miss-reason.ts';
import type { Repository } from '../oci/reference.ts';
import type { Doubt, Outcome, RequestKind } from '../outcome.ts';

/** Filled in while a request is answered; read once, when it has ended. */
export interface RequestRecord {
  kind: RequestKind;
  outcome: Outcome;
  /** the host of the upstream, `none` where the request names none */
  upstream: string;
  repository: Repository | undefined;
  reference: string | undefined;
  /** where blob bytes came from */
  source: 'store' | 'fill' | 'bypass' | undefined;
  /** of the body, given to the client's connection */
  bytes: number;
  /** from `performance.now()`; undefined until the head is sent */
  firstByteAt: number | undefined;
  /** why the request failed, for the log alone */
  error: unknown;
  /** why the client was not given what it asked for; undefined where it was, or is itself the reason */
  refusal: Refusal | undefined;
}

export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  isHead: boolean;
  /** a client that takes nothing for this long is let go */
  idleMs: number;
  record: RequestRecord;
}

export function newRecord(): RequestRecord {
  return {
    kind: 'other',
    outcome: 'error',
    upstream: 'none',
    repository: undefined,
    reference: undefined,
    source: undefined,
    bytes: 0,
    firstByteAt: undefined,
    error: undefined,
    refusal: undefined,
  };
}

/** On every answer. Given to `writeHead` with the rest: `setHeader` before it makes Node take a slower way. */
export const COMMON_HEADERS = {
  'docker-distribution-api-version': 'registry/2.0',
  'x-content-type-options': 'nosniff',
  // by which `hubcap check` knows what answers; without a version, which is nobody's business
  server: 'hubcap',
} as const;

/** Sends the head of the answer. From here on the client must take what it is given. */
export function sendHead(
  { response, record, idleMs }: Exchange,
  status: number,
  headers: Record<string, string | number>,
): void {
  response.writeHead(status, { ...COMMON_HEADERS, ...headers });
  record.firstByteAt = performance.now();
  response.socket?.setTimeout(idleMs);
}

/** @returns the `Warning` (RFC 7234 §5.5) for what is served although upstream did not confirm it, where there is one */
export function warningOf(doubt: Doubt | undefined, isByTag: boolean): string | undefined {
  if (doubt === 'kept') return '299 - "upstream no longer has this; hubcap serves it as last seen"';
  if (doubt === undefined || !isByTag) return undefined;
  return '299 - "hubcap could not confirm this tag with its upstream; it is served as last seen"';
}

/** @returns whether the client has this content already (RFC 9110 §13.1.2) */
export function matchesEtag(request: IncomingMessage, etag: string): boolean {
  const header = request.headers['if-none-match'];
  if (header === undefined) return false;
  return (
    header === '*' || header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag)
  );
}
