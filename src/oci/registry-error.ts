/** Owns the one error that a client is shown: an OCI error code, its HTTP status, and what to do next. */

/** distribution-spec, "Error Codes"; `UNAVAILABLE` is distribution's own. */
export type ErrorCode =
  | 'BLOB_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'RANGE_INVALID'
  | 'TAG_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAVAILABLE'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

export interface RegistryErrorFacts {
  code: ErrorCode;
  status: number;
  detail?: Record<string, unknown>;
  /** seconds until asking again makes sense */
  retryAfterS?: number;
  headers?: Record<string, string>;
  cause?: unknown;
}

/** What a client is told when it does not get what it asked for. Holds no secret. */
export class RegistryError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: Record<string, unknown> | undefined;
  readonly retryAfterS: number | undefined;
  readonly headers: Record<string, string> | undefined;

  constructor(message: string, facts: RegistryErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'RegistryError';
    this.code = facts.code;
    this.status = facts.status;
    this.detail = facts.detail;
    this.retryAfterS = facts.retryAfterS;
    this.headers = facts.headers;
  }
}

export function manifestUnknown(reference: string): RegistryError {
  return new RegistryError(`${reference}: upstream has no such manifest; check the name and the tag`, {
    code: 'MANIFEST_UNKNOWN',
    status: 404,
    detail: { reference },
  });
}

export function blobUnknown(reference: string): RegistryError {
  return new RegistryError(`${reference}: this repository holds no such blob`, {
    code: 'BLOB_UNKNOWN',
    status: 404,
    detail: { reference },
  });
}

export function nameUnknown(name: string): RegistryError {
  return new RegistryError(`${name}: upstream knows no such repository; check the name`, {
    code: 'NAME_UNKNOWN',
    status: 404,
    detail: { name },
  });
}

export function denied(reference: string, cause?: unknown): RegistryError {
  return new RegistryError(
    `${reference}: upstream refuses access; the repository is private or does not exist: check the name, or give hubcap credentials that may read it`,
    { code: 'DENIED', status: 403, detail: { reference }, cause },
  );
}

/** @param limit `pulls` of an account, against which another one helps, or `requests` of the address */
export function tooManyRequests(
  host: string,
  retryAfterS: number,
  cause?: unknown,
  limit: 'pulls' | 'requests' = 'requests',
): RegistryError {
  const what =
    limit === 'pulls'
      ? `allows no more pulls for now; ask again in ${retryAfterS} s, or give hubcap credentials with a higher limit`
      : `limits the rate of requests from this address; ask again in ${retryAfterS} s`;
  return new RegistryError(`${host} ${what}`, {
    code: 'TOOMANYREQUESTS',
    status: 429,
    retryAfterS,
    detail: { upstream: host, limit },
    cause,
  });
}

/** What upstream does not give to everybody is not for everybody who reaches the mirror. */
export function notPublic(upstream: string, repository: string): RegistryError {
  const reference = `${upstream}/${repository}`;
  return new RegistryError(
    `${reference}: upstream does not give it to everybody: it is private, or does not exist; list ${repository} under upstreams.${upstream}.private to serve it to everyone who reaches this mirror`,
    { code: 'DENIED', status: 403, detail: { reference } },
  );
}

/** @param status 502 for a wrong answer, 503 for none, 504 for none in time */
export function unavailable(
  message: string,
  status: 502 | 503 | 504,
  retryAfterS: number,
  cause?: unknown,
  detail?: Record<string, unknown>,
): RegistryError {
  const facts = { code: 'UNAVAILABLE', status, retryAfterS, cause } as const;
  return new RegistryError(message, detail ? { ...facts, detail } : facts);
}

export type OfflineCode = Extract<ErrorCode, 'MANIFEST_UNKNOWN' | 'BLOB_UNKNOWN' | 'NAME_UNKNOWN'>;

export function offlineUnknown(reference: string, code: OfflineCode, cause?: unknown): RegistryError {
  return new RegistryError(
    `${reference}: hubcap is offline and does not hold it; it is noted in \`hubcap misses\`, and fetched after \`hubcap offline off\``,
    { code, status: 404, detail: { reference, offline: true }, cause },
  );
}

/** @returns whether it is not there because hubcap is offline: nobody has said that there is no such thing */
export function isOfflineUnknown({ detail }: RegistryError): boolean {
  return detail?.offline === true;
}

export function invalid(
  code: 'NAME_INVALID' | 'DIGEST_INVALID' | 'TAG_INVALID',
  message: string,
): RegistryError {
  return new RegistryError(message, { code, status: 400 });
}
