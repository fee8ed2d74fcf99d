/** Owns the answers to manifest requests: upstream's bytes exactly, with what clients need to trust them. */
import type { Manifests } from '../mirror/manifests.ts';
import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import type { ServedManifest } from '../mirror/served-manifest.ts';
import { acceptsIndex } from '../oci/media-types.ts';
import { referenceText } from '../oci/reference.ts';
import { cacheStatus } from '../outcome.ts';
import { type Exchange, matchesEtag, sendHead, warningOf } from './exchange.ts';
import type { Route } from './route.ts';

type ManifestRoute = Extract<Route<MirroredUpstream>, { kind: 'manifest' }>;

/** distribution-spec, "Pulling manifests". @throws RegistryError */
export async function answerManifest(
  exchange: Exchange,
  route: ManifestRoute,
  manifests: Manifests,
): Promise<void> {
  const { request, response, isHead, record } = exchange;
  const { upstream, repository, reference, ns } = route;
  record.kind = 'manifest';
  record.upstream = upstream.host;
  record.repository = repository;
  record.reference = referenceText(reference);
  const manifest = await manifests.get({
    upstream,
    repository,
    reference,
    wantsBody: !isHead,
    acceptsIndex: acceptsIndex(request.headers.accept),
  });
  record.outcome = manifest.outcome;
  const etag = `"${manifest.digest}"`;
  const headers = headersOf(manifest, etag, ns, reference.kind === 'tag');
  if (matchesEtag(request, etag)) {
    sendHead(exchange, 304, headers);
    response.end();
    return;
  }
  headers['content-type'] = manifest.mediaType;
  if (manifest.size !== undefined) headers['content-length'] = manifest.size;
  sendHead(exchange, 200, headers);
  if (isHead || !manifest.body) {
    response.end();
    return;
  }
  record.source = manifest.outcome === 'bypass' ? 'bypass' : manifest.outcome === 'miss' ? 'fill' : 'store';
  record.bytes = manifest.body.length;
  response.end(manifest.body);
}

function headersOf(
  manifest: ServedManifest,
  etag: string,
  ns: string | undefined,
  isByTag: boolean,
): Record<string, string | number> {
  const { outcome, digest, ageMs, upstreamStatus, overdueMs, doubt } = manifest;
  const headers: Record<string, string | number> = {
    'docker-content-digest': digest,
    etag,
    'cache-status': cacheStatus(outcome, upstreamStatus, overdueMs),
    age: Math.floor(ageMs / 1000),
    vary: 'accept',
  };
  if (ns !== undefined) headers['oci-namespace'] = ns;
  const warning = warningOf(doubt, isByTag);
  if (warning !== undefined) headers.warning = warning;
  return headers;
}
