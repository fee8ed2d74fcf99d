/** Owns the asking for one page of an upstream's list, and what its answer means. */
import type { Repository } from '../oci/reference.ts';
import type { UpstreamRequestKind } from '../upstream/asker.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { ListPage } from './list-walk.ts';
import type { MirroredUpstream } from './mirrored-upstream.ts';

export interface PageQuestion<E> {
  upstream: MirroredUpstream;
  repository: Repository;
  kind: Extract<UpstreamRequestKind, 'tags' | 'referrers'>;
  /** below the repository: `tags/list` */
  path: string;
  /** the member of the answer that holds the list */
  member: string;
  /** @returns the entry, undefined where it is none that a client could use */
  read: (value: unknown) => E | undefined;
}

/** What is longer would not fit into a request line everywhere. */
const MAX_LINK_LENGTH = 4096;

/** @returns undefined for 404. @throws UpstreamError */
export async function fetchPage<E>(
  { upstream, repository, kind, path, member, read }: PageQuestion<E>,
  query: string,
  deadlineMs: number,
): Promise<ListPage<E> | undefined> {
  const { host, client } = upstream;
  const fail = (what: string, status?: number): UpstreamError =>
    new UpstreamError(`${host}: ${what}`, {
      reason: 'bad-answer',
      host,
      ...(status !== undefined && { status }),
    });
  const page = await client.page(kind, repository, query === '' ? path : `${path}?${query}`, deadlineMs);
  if (!page) return undefined;
  const list = listIn(page.body, member);
  if (!list) throw fail(`what it sent as ${kind} is no list`, 200);
  if (page.link !== undefined && page.link.length > MAX_LINK_LENGTH)
    throw fail('where its list goes on is too long');
  const entries = list.map(read).filter((entry) => entry !== undefined);
  return { entries, next: nextQuery(page.link) };
}

/**
 * Reads where a list goes on (RFC 8288). Of the address only the query counts: the host and the path that are asked
 * are the list's own, whatever upstream says.
 * @param link the `Link` header, where there is one
 */
export function nextQuery(link: string | undefined): string | undefined {
  for (const [, target = '', parameters = ''] of link?.matchAll(/<([^<>]*)>([^<]*)/g) ?? []) {
    if (!/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters)) continue;
    const question = target.indexOf('?');
    if (question < 0) return undefined;
    // Read and written again: nothing but a query is left, whatever stood there.
    const query = new URLSearchParams(target.slice(question + 1).replace(/#.*$/s, '')).toString();
    return query === '' ? undefined : query;
  }
  return undefined;
}

/** A page of HTML with status 200 is no list; `null` is how some write an empty one. */
function listIn(body: Buffer, member: string): unknown[] | undefined {
  try {
    const document: unknown = JSON.parse(body.toString('utf8'));
    if (typeof document !== 'object' || document === null || !(member in document)) return undefined;
    const list: unknown = (document as Record<string, unknown>)[member];
    return list === null ? [] : Array.isArray(list) ? list : undefined;
  } catch {
    return undefined; // the caller says so
  }
}
