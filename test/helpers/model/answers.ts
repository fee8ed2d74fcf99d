/** Owns what any answer of hubcap must be, whatever has happened. */
import { type Ask, open, type Received } from '../client.ts';
import type { Content } from '../content.ts';
import { until } from '../waiting.ts';
import type { Wanted } from './steps.ts';

/** No head came: the connection ended before. */
const NOTHING: Received = { status: 0, headers: {}, body: Buffer.alloc(0), isComplete: false };

/** One request to its end. @param leaveAfter the client is gone once it has so many bytes */
export async function receive(url: string, ask: Ask, leaveAfter?: number): Promise<Received> {
  const opened = await open(url, ask).catch(() => undefined);
  if (!opened) return NOTHING;
  if (leaveAfter !== undefined) {
    let isOver = false;
    void opened.ended.then(() => {
      isOver = true;
    });
    await until('it has enough', () => isOver || opened.bytes >= leaveAfter, 2);
    opened.leave();
  }
  return await opened.ended;
}

export function rangeHeader(wanted: Wanted): Record<string, string> {
  if (!wanted) return {};
  return { range: 'last' in wanted ? `bytes=-${wanted.last}` : `bytes=${wanted.from}-${wanted.to ?? ''}` };
}

/** @returns the bytes that the range means, undefined where it means none */
export function partOf({ body }: Content, wanted: Wanted): { start: number; end: number } | undefined {
  const size = body.length;
  if (!wanted) return { start: 0, end: size };
  if ('last' in wanted)
    return wanted.last > 0 && size > 0 ? { start: Math.max(0, size - wanted.last), end: size } : undefined;
  return wanted.from < size
    ? { start: wanted.from, end: Math.min(size, (wanted.to ?? size) + 1) }
    : undefined;
}

/** @returns what is false about an answer that claims to be complete; undefined where nothing is */
export function falsehoodIn(content: Content, wanted: Wanted, received: Received): string | undefined {
  const { status, headers, body, isComplete } = received;
  const part = partOf(content, wanted);
  if (status >= 400 && status !== 416) return undefined;
  if (status === 416) return part ? '416 for a range that exists' : undefined;
  if (!isComplete) return undefined;
  if (status === 200)
    return body.equals(content.body) ? undefined : `wrong bytes: ${body.length} of ${content.body.length}`;
  if (status !== 206 || !wanted) return `status ${status}`;
  if (!part) return '206 for a range that does not exist';
  const said = `bytes ${part.start}-${part.end - 1}/${content.body.length}`;
  if (headers['content-range'] !== said) return `${headers['content-range']} instead of ${said}`;
  return body.equals(content.body.subarray(part.start, part.end)) ? undefined : `wrong bytes in ${said}`;
}

/** @returns whether it is all that was asked for */
export function isSuccess(content: Content, wanted: Wanted, { status, isComplete }: Received): boolean {
  return partOf(content, wanted) ? isComplete && (status === 200 || status === 206) : status >= 200;
}
