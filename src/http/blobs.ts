/** Owns the answers to blob requests: whole or in part, from wherever the mirror has them. */
import type { Blobs, OpenBlob } from '../mirror/blobs.ts';
import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import { RegistryError } from '../oci/registry-error.ts';
import { cacheStatus, type Doubt, type Outcome } from '../outcome.ts';
import type { BufferPool } from './buffers.ts';
import { type Exchange, matchesEtag, sendHead, warningOf } from './exchange.ts';
import { type Part, parseRange, resolveRange, type WantedRange } from './range.ts';
import type { Route } from './route.ts';
import { sendBlob } from './send-blob.ts';

type BlobRoute = Extract<Route<MirroredUpstream>, { kind: 'blob' }>;

export interface BlobServices {
  blobs: Blobs;
  buffers: BufferPool;
}

/** distribution-spec, "Pulling blobs"; RFC 9110 §14 for ranges. @throws RegistryError */
export async function answerBlob(
  exchange: Exchange,
  route: BlobRoute,
  services: BlobServices,
): Promise<void> {
  const { request, isHead, record } = exchange;
  const { upstream, repository, digest } = route;
  record.kind = 'blob';
  record.upstream = upstream.host;
  record.repository = repository;
  record.reference = digest;
  const etag = `"${digest}"`;
  const wanted = parseRange(request.headers.range, request.headers['if-range']?.toString(), etag);
  if (wanted.kind === 'malformed') throw rangeInvalid('it is no range of bytes', undefined);
  if (isHead || matchesEtag(request, etag)) {
    await answerWithoutBody(exchange, route, services.blobs, etag);
    return;
  }
  const open = await services.blobs.open(route);
  exchange.response.once('close', () => open.reader.close()); // also wakes a read that waits for upstream
  if (exchange.response.destroyed) open.reader.close();
  record.outcome = open.outcome;
  record.source = open.source;
  await send(exchange, route, open, wanted, services);
}

async function answerWithoutBody(
  exchange: Exchange,
  route: BlobRoute,
  blobs: Blobs,
  etag: string,
): Promise<void> {
  const { outcome, size, doubt } = await blobs.head(route);
  exchange.record.outcome = outcome;
  const headers = headersOf(route, outcome, doubt);
  if (matchesEtag(exchange.request, etag)) {
    sendHead(exchange, 304, headers);
  } else {
    if (size !== undefined) headers['content-length'] = size;
    sendHead(exchange, 200, headers);
  }
  exchange.response.end();
}

async function send(
  exchange: Exchange,
  route: BlobRoute,
  { outcome, doubt, source, reader, aim }: OpenBlob,
  wanted: WantedRange,
  { buffers }: BlobServices,
): Promise<void> {
  const { response, record } = exchange;
  const headers = headersOf(route, outcome, doubt);
  const { size } = reader;
  // The head of an empty answer is all of it: what claims to be empty must be proven before.
  if (size === 0) await reader.read(Buffer.alloc(1), 0);
  const part = partOf(wanted, size);
  if (part.end !== undefined) aim?.({ start: part.start, end: part.end });
  const isPartial = wanted.kind !== 'whole' && size !== undefined;
  if (isPartial) headers['content-range'] = `bytes ${part.start}-${(part.end ?? size) - 1}/${size}`;
  if (part.end !== undefined) headers['content-length'] = part.end - part.start;
  sendHead(exchange, isPartial ? 206 : 200, headers);
  // Clients give up when there is no head within 30 s (containerd): it does not wait for the first bytes.
  if (source !== 'store') response.flushHeaders();
  await sendBlob(response, reader, part, {
    buffers,
    isArriving: source !== 'store',
    idleMs: exchange.idleMs,
    onSent: (bytes) => {
      record.bytes += bytes;
    },
  });
}

/** While upstream has not said how large the content is, the answer to any range is the whole. */
function partOf(wanted: WantedRange, size: number | undefined): { start: number; end: number | undefined } {
  if (size === undefined) return { start: 0, end: undefined };
  const part: Part | undefined = resolveRange(wanted, size);
  if (!part) throw rangeInvalid(`the blob has ${size} bytes`, size);
  return part;
}

function headersOf(
  { digest, ns }: BlobRoute,
  outcome: Outcome,
  doubt: Doubt | undefined,
): Record<string, string | number> {
  const warning = warningOf(doubt, false);
  return {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000, immutable',
    'cache-status': cacheStatus(outcome, doubt === 'kept' ? 404 : undefined),
    ...(warning !== undefined && { warning }),
    ...(ns !== undefined && { 'oci-namespace': ns }),
  };
}

function rangeInvalid(why: string, size: number | undefined): RegistryError {
  return new RegistryError(`the range cannot be served: ${why}`, {
    code: 'RANGE_INVALID',
    status: 416,
    ...(size !== undefined && { headers: { 'content-range': `bytes */${size}` } }),
  });
}
