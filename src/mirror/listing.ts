/** Owns what a list request is answered with. */
import type { Outcome } from '../outcome.ts';

export interface Listing {
  outcome: Outcome;
  body: Buffer;
  mediaType: string;
  /** the query of the next page, undefined on the last */
  next: URLSearchParams | undefined;
  /** by what the list was filtered (distribution-spec, `OCI-Filters-Applied`) */
  filter?: string | undefined;
  /** what upstream answered, where the list is stale */
  upstreamStatus?: number | undefined;
}

/** Which part of a list is asked for. */
export interface ListedPage {
  /** how many at most; undefined where the client does not say */
  n: number | undefined;
  /** after which entry; empty: from the beginning */
  last: string;
}

/** @param next the entry after which the next page begins, undefined where there is none */
export function jsonListing(
  content: Record<string, unknown>,
  next: URLSearchParams | undefined,
  outcome: Outcome,
  mediaType = 'application/json',
): Listing {
  return { outcome, body: Buffer.from(`${JSON.stringify(content)}\n`), mediaType, next };
}

/** @returns the query by which a client goes on after `last` as it began, undefined where there is nothing more */
export function goingOn(n: number | undefined, last: string | undefined): URLSearchParams | undefined {
  if (last === undefined || n === 0) return undefined;
  return new URLSearchParams(n === undefined ? { last } : { n: String(n), last });
}
