/** Owns the turning of errors into OCI error answers (distribution-spec, "Error Codes"). */
import type { ServerResponse } from 'node:http';
import { RegistryError } from '../oci/registry-error.ts';
import { COMMON_HEADERS } from './exchange.ts';

/** @returns what the client is told: a RegistryError as it is, anything else as our own fault without details */
export function toClientError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  return new RegistryError('hubcap failed; its log says why', { code: 'UNKNOWN', status: 500, cause: error });
}

/** @returns the body of an error answer */
export function errorBody({ code, message, detail }: RegistryError): string {
  return `${JSON.stringify({ errors: [{ code, message, detail: detail ?? null }] })}\n`;
}

/** Sends an error answer; a response whose head is out can only be broken off. */
export function sendError(
  response: ServerResponse,
  error: RegistryError,
  isHead: boolean,
  headers: Record<string, string> = {},
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = errorBody(error);
  response.writeHead(error.status, {
    ...COMMON_HEADERS,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...(error.retryAfterS !== undefined && { 'retry-after': String(error.retryAfterS) }),
    ...headers,
    ...error.headers,
  });
  response.end(isHead ? undefined : body);
}
