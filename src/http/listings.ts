/** Owns the answers to list requests. */
import type { Listing, Listings } from '../mirror/listings.ts';
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
  sendListing(exchange, await listings.referrers(route, route.digest, route.artifactType), route.ns);
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

function sendListing(
  exchange: Exchange,
  { outcome, body, mediaType, next }: Listing,
  ns: string | undefined,
): void {
  const { request, response, isHead, record } = exchange;
  record.outcome = outcome;
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  const query = ns === undefined ? next : `${next}&${new URLSearchParams({ ns })}`;
  sendHead(exchange, 200, {
    'content-type': mediaType,
    'content-length': body.length,
    'cache-status': cacheStatus(outcome),
    ...(next !== undefined && { link: `<${path}?${query}>; rel="next"` }),
    ...(ns !== undefined && { 'oci-namespace': ns }),
  });
  record.bytes = isHead ? 0 : body.length;
  response.end(isHead ? undefined : body);
}
