/** Owns asking the daemon: a deadline on each question, and answers that are no documents as errors. */
import type { HistoryDocument } from '../src/admin/history.ts';
import type { ImagePage } from '../src/admin/image-browser.ts';
import type { MissesPage } from '../src/admin/misses.ts';
import type { PageStatus, Readiness } from '../src/admin/status.ts';

/** The daemon answered, and not with what was asked for. */
export class AnswerError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'AnswerError';
    this.status = status;
  }
}

/** What is asked of the images. */
export interface ImageWish {
  search: string;
  sort: 'name' | 'used';
  offset: number;
  limit: number;
  /** whether the first names are wanted before all are counted */
  isQuick: boolean;
}

export const askStatus = (signal: AbortSignal): Promise<PageStatus> => ask('api/status', signal);

export const askReadiness = (signal: AbortSignal): Promise<Readiness> => ask('api/ready', signal);

/** @param afterMs what was sampled later, by the clock of the daemon */
export function askHistory(afterMs: number, signal: AbortSignal): Promise<HistoryDocument> {
  return ask(`api/history?since=${afterMs}`, signal);
}

export function askImages(
  { search, sort, offset, limit, isQuick }: ImageWish,
  signal: AbortSignal,
): Promise<ImagePage> {
  const query = new URLSearchParams({ search, sort, offset: String(offset), limit: String(limit) });
  if (isQuick) query.set('quick', 'yes');
  return ask(`api/images?${query}`, signal);
}

export function askMisses(limit: number, signal: AbortSignal): Promise<MissesPage> {
  return ask(`api/misses?limit=${limit}`, signal);
}

/** @throws AnswerError, and what `fetch` throws */
async function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  const answer = await fetch(path, { signal, cache: 'no-store', redirect: 'error' });
  if (!answer.ok) throw new AnswerError(answer.status, (await answer.text()).slice(0, 1000).trim());
  return (await answer.json()) as T;
}
