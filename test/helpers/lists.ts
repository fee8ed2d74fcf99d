/** Owns the ways in which registries give out lists, and how a client reads one to its end. */
import type { Received } from './client.ts';
import type { Answer, Persona } from './persona-server.ts';
import { only } from './personas.ts';

export const tagLists = only.bind(undefined, ({ path }) => path.endsWith('/tags/list'));
export const referrerLists = only.bind(undefined, ({ path }) => path.includes('/referrers/'));

/** An answer with a JSON body. */
export function json(document: unknown, headers: Record<string, string> = {}): Answer {
  const body = Buffer.from(JSON.stringify(document));
  return { status: 200, headers: { 'content-type': 'application/json', ...headers }, body };
}

export const nextLink = (target: string): Record<string, string> => ({ link: `<${target}>; rel="next"` });

/** distribution 2: all at once, whatever is asked. */
export function allAtOnce(tags: readonly string[]): Persona {
  return tagLists(() => json({ name: 'x', tags }));
}

/** As the specification has it, with pages that may be smaller than what is asked. */
export function pagedByNames(tags: readonly string[], size: number): Persona {
  return tagLists(({ path, query }) => {
    const last = query.get('last') ?? '';
    const after = tags.filter((tag) => tag > last);
    const page = after.slice(0, Math.min(size, Number(query.get('n') ?? size)));
    const isEnd = page.length === after.length;
    return json({ tags: page }, isEnd ? {} : nextLink(`${path}?last=${page.at(-1)}&n=${query.get('n')}`));
  });
}

/** Pages that only the registry can name (quay.io, ECR); it knows no `last`, and its order is its own. */
export function pagedByTokens(tags: readonly string[], size: number, parameter: string): Persona {
  return tagLists(({ query }) => {
    const token = query.get(parameter) ?? '';
    const from = token.startsWith('token/') ? Number(token.slice(6)) : 0;
    const target = `https://elsewhere.test/v2/other/repository/tags/list?n=1000&${parameter}=token%2F${from + size}`;
    return json({ tags: tags.slice(from, from + size) }, from + size < tags.length ? nextLink(target) : {});
  });
}

/** @returns where a list goes on, as a client is told */
export function nextOf({ headers }: Received): string | undefined {
  return /^<([^>]+)>; rel="next"$/.exec(String(headers.link))?.[1];
}

/** Follows `Link` to the end. @returns each page's list */
export async function pagesOf<E>(
  get: (path: string) => Promise<Received>,
  first: string,
  member: 'tags' | 'manifests',
): Promise<E[][]> {
  const pages: E[][] = [];
  for (let path: string | undefined = first; path !== undefined; ) {
    const page = await get(path);
    if (page.status !== 200) throw new Error(`${path}: ${page.status}`, { cause: page.body.toString() });
    pages.push((JSON.parse(page.body.toString()) as Record<string, E[]>)[member] ?? []);
    path = nextOf(page);
    if (pages.length > 1000) throw new Error('the list has no end');
  }
  return pages;
}
