/** Owns the answers to list requests. */
import type { Listing } from '../mirror/listing.ts';
import type { Listings } from '../mirror/listings.ts';
import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import { cacheStatus } from '../outcome.ts';
import { type Exchange, sendHead } from './exchange.ts';
import type { Route } from './route.ts';

type RouteOf<K extends Route<MirroredUpstream>['kind']> = Extract<Route<MirroredUpstream>, { kind: K }>;

/** distribution-spec, "Listing Tags". @throws RegistryError */
export async function answerTags(
  exchange: Exchange,
  route: RouteOf<'tags'>,
  listings: Listings,
): Promise<void> {
  note(exchange, route, 'tags');
  sendListing(exchange, await listings.tags(route, route.page), route.ns);
}

/** distribution-spec, "Listing Referrers". @throws RegistryError */
export async function answerReferrers(
  exchange: Exchange,
  route: RouteOf<'referrers'>,
  listings: Listings,
): Promise<void> {
  note(exchange, route, 'referrers');
  exchange.record.reference = route.digest;
  sendListing(exchange, await listings.referrers(route, route.digest, route), route.ns);
}

/** distribution, "Catalog": the repositories that hubcap holds. */
export function answerCatalog(exchange: Exchange, route: RouteOf<'catalog'>, listings: Listings): void {
  exchange.record.kind = 'catalog';
  sendListing(exchange, listings.repositories(route.page), undefined);
}

function note({ record }: Exchange, route: RouteOf<'tags' | 'referrers'>, kind: 'tags' | 'referrers'): void {
  record.kind = kind;
  record.upstream = route.upstream.host;
  record.repository = route.repository;
}

function sendListing(exchange: Exchange, listing: Listing, ns: string | undefined): void {
  const { response, isHead, record } = exchange;
  const { outcome, body, mediaType, upstreamStatus } = listing;
  record.outcome = outcome;
  sendHead(exchange, 200, {
    'content-type': mediaType,
    'content-length': body.length,
    'cache-status': cacheStatus(outcome, upstreamStatus),
    ...linkOf(exchange, listing, ns),
    ...(listing.filter !== undefined && { 'oci-filters-applied': listing.filter }),
    ...(ns !== undefined && { 'oci-namespace': ns }),
    ...(outcome === 'stale' && { warning: STALE }),
  });
  record.bytes = isHead ? 0 : body.length;
  response.end(isHead ? undefined : body);
}

const STALE = '299 - "hubcap could not ask its upstream for this list; it is what was known last"';

/** RFC 8288: the path is the one that the client used, whatever stands before `/v2/`. */
function linkOf(
  { request }: Exchange,
  { next }: Listing,
  ns: string | undefined,
): { link: string } | undefined {
  if (!next) return undefined;
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  const query = new URLSearchParams(next);
  if (ns !== undefined) query.set('ns', ns);
  return { link: `<${path}?${query}>; rel="next"` };
}
