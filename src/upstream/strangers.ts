/** Owns asking as somebody without credentials, and what the answer says about who else is given the same. */
import { parseDigest } from '../oci/digest.ts';
import { bareType, MANIFEST_ACCEPT } from '../oci/media-types.ts';
import type { Ask, Asker } from './asker.ts';
import { UpstreamError } from './errors.ts';
import { followRedirects } from './redirects.ts';
import { type Answer, discardBody } from './transport.ts';

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
    const given = await followRedirects(asker.transport, address, answer, ask);
    await discardBody(given);
    if (isGiven(asked.kind, given)) return 'public';
  } catch (error) {
    if (isRefusal(error)) return 'private';
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

/** Registries in front of which people log in answer 200 with a page, or lead to one. */
function isGiven(kind: Ask['kind'], answer: Answer): boolean {
  const type = bareType(answer.header('content-type') ?? '');
  if (kind === 'blob') return type !== 'text/html';
  if (kind !== 'manifest') return /[/+]json$/.test(type);
  const digest = answer.header('docker-content-digest');
  return (
    MANIFEST_ACCEPT.includes(type || 'none') || (digest !== undefined && parseDigest(digest) !== undefined)
  );
}

/** A token server that knows no GET has no tokens for strangers. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false;
  return error.reason === 'denied' || (error.reason === 'token' && error.status === 405);
}
