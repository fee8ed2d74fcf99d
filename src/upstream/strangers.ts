/** Owns asking as somebody without credentials, and what the answer says about who else is given the same. */
import { algorithmOf, digestOf, parseDigest } from '../oci/digest.ts';
import { bareType, MANIFEST_ACCEPT } from '../oci/media-types.ts';
import type { Ask, Asker } from './asker.ts';
import { UpstreamError } from './errors.ts';
import { contentSize, followRedirects } from './redirects.ts';
import { type Answer, discardBody, readSmall } from './transport.ts';

/** What a stranger is told of something below a repository. */
export type StrangersWord = 'public' | 'private' | 'absent';

/**
 * HEAD for manifests; GET of one byte for blobs, as what a redirect leads to is often signed for GET alone; GET for
 * lists, as distribution answers HEAD with 405.
 * @param address of the registry that `asker` asks
 * @throws UpstreamError where it cannot say: a page to log in at says neither yes nor no
 */
export async function askAsStranger(
  asker: Pick<Asker, 'ask' | 'transport'>,
  address: URL,
  asked: Pick<Ask, 'kind' | 'repository' | 'path' | 'signal' | 'lane'>,
): Promise<StrangersWord> {
  const ask: Ask = { ...asked, ...MANNERS[asked.kind], isAnonymous: true };
  try {
    const answer = await asker.ask(ask);
    if (answer.status === 404) {
      await discardBody(answer);
      return 'absent';
    }
    const given = await followRedirects(asker.transport, address, answer, ask, asked.kind === 'manifest');
    const word = await wordOf(asked, given, address.host);
    await discardBody(given);
    if (word) return word;
  } catch (error) {
    if (isRefusal(error, asked.kind)) return 'private';
    throw error;
  }
  const { host } = address;
  throw new UpstreamError(`${host}: what it gives to strangers is not what was asked for`, {
    reason: 'bad-answer',
    host,
  });
}

const LIST = { method: 'GET', headers: { accept: 'application/json' } } as const;
const MANNERS: Record<Ask['kind'], Pick<Ask, 'method' | 'headers'>> = {
  manifest: { method: 'HEAD', headers: { accept: MANIFEST_ACCEPT } },
  blob: { method: 'GET', headers: { range: 'bytes=0-0' } },
  tags: LIST,
  referrers: LIST,
};

const MAX_LIST_BYTES = 4 * 1024 * 1024;
/** What a registry says in place of a blob is small. */
const MAX_SAYING_BYTES = 1024 * 1024;

/**
 * Registries in front of which people log in answer 200 with a page, or lead to one; gateways with an error as JSON.
 * @returns undefined where it is neither what was asked for nor its absence
 */
async function wordOf(
  { kind, path }: Pick<Ask, 'kind' | 'path'>,
  answer: Answer,
  host: string,
): Promise<StrangersWord | undefined> {
  if (answer.status === 404) return 'absent';
  const type = bareType(answer.header('content-type') ?? '');
  if (kind === 'manifest') return isManifest(answer, type) ? 'public' : undefined;
  if (type === 'text/html') return undefined;
  if (kind === 'blob') return (await isBlob(answer, path, host)) ? 'public' : undefined;
  if (kind === 'referrers') return /[/+]json$/.test(type) ? 'public' : undefined;
  const tags = listIn(await readSmall(answer, host, MAX_LIST_BYTES));
  // Some show to each what they may see: an empty list shows nothing.
  return tags && (tags.length > 0 ? 'public' : 'absent');
}

function isManifest({ header }: Answer, type: string): boolean {
  const digest = header('docker-content-digest');
  return (
    MANIFEST_ACCEPT.includes(type || 'none') || (digest !== undefined && parseDigest(digest) !== undefined)
  );
}

/** Nothing but content comes in part, and little else is large. */
async function isBlob(answer: Answer, path: string, host: string): Promise<boolean> {
  const size = contentSize(answer);
  if (answer.status !== 200 || size === undefined || size > MAX_SAYING_BYTES) return true;
  const digest = parseDigest(path.slice(path.indexOf('/') + 1));
  const body = await readSmall(answer, host, MAX_SAYING_BYTES);
  return digest !== undefined && digestOf(body, algorithmOf(digest)) === digest;
}

function listIn(body: Buffer): unknown[] | undefined {
  try {
    const { tags = undefined } = Object(JSON.parse(body.toString('utf8')));
    return tags === null ? [] : Array.isArray(tags) ? tags : undefined;
  } catch {
    return undefined; // no JSON is no list, which the caller says
  }
}

/**
 * A token server that knows no GET has no tokens for strangers. Where a registry sends to another one, that one refuses
 * in its place; a store behind it may refuse an address that was signed wrong.
 */
function isRefusal(error: unknown, kind: Ask['kind']): boolean {
  if (!(error instanceof UpstreamError)) return false;
  const isElsewhere = error.reason === 'redirect' && (error.status === 401 || error.status === 403);
  if (isElsewhere && kind !== 'blob') return true;
  return error.reason === 'denied' || (error.reason === 'token' && error.status === 405);
}
