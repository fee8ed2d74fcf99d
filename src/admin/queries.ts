/** Owns reading what the query of an address asks for. Pure. */
import { RefusedError } from '../refused-error.ts';
import type { ImageQuery } from './image-browser.ts';

/** So many images or misses are told at once. */
export const MAX_TOLD = 500;

/**
 * @param query `search`, `sort`, `offset`, `limit`, `quick=yes`
 * @throws RefusedError
 */
export function readImageQuery(query: URLSearchParams): ImageQuery {
  const sort = query.get('sort') ?? 'name';
  if (sort !== 'name' && sort !== 'used') throw new RefusedError(400, 'sort=name or sort=used');
  return {
    search: query.get('search') ?? '',
    sort,
    offset: readCount(query, 'offset', 0, Number.MAX_SAFE_INTEGER),
    limit: readCount(query, 'limit', 100, MAX_TOLD),
    isQuick: query.get('quick') === 'yes',
  };
}

/**
 * @param most the largest number that is taken
 * @throws RefusedError
 */
export function readCount(query: URLSearchParams, name: string, otherwise: number, most: number): number {
  const text = query.get(name) ?? String(otherwise);
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= most)) throw new RefusedError(400, `${name}: a number from 0 to ${most}`);
  return count;
}
