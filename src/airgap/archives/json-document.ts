/** Owns the reading of the JSON documents of an archive: bounded in size and depth before anything is parsed. */
import type { z } from 'zod';
import { ArchiveError } from './archive-error.ts';

/** Of one document; as much as clients take of a manifest. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
const MAX_DEPTH = 32;

/** @throws ArchiveError where the body is larger than a document may be */
export async function collectDocument(
  entry: string,
  size: number,
  body: AsyncIterable<Buffer>,
): Promise<Buffer> {
  if (size > MAX_DOCUMENT_BYTES)
    throw new ArchiveError(`has ${size} bytes, which is more than ${MAX_DOCUMENT_BYTES}`, entry);
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * Reads a document and checks its form.
 * @throws ArchiveError where it is no JSON, too deep, or of another form
 */
export function parseDocument<T>(entry: string, body: Buffer, form: z.ZodType<T>): T {
  if (isDeep(body)) throw new ArchiveError(`is nested more than ${MAX_DEPTH} deep`, entry);
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new ArchiveError('is not JSON', entry, cause);
  }
  const parsed = form.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const at = issue && issue.path.length > 0 ? ` at ${issue.path.join('.')}` : '';
  throw new ArchiveError(`is not what it should be${at}: ${issue?.message ?? 'unknown form'}`, entry);
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

function isDeep(body: Buffer): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at] ?? 0;
    if (isText && byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) isText = !isText;
    else if (!isText && OPENING.has(byte)) depth += 1;
    else if (!isText && CLOSING.has(byte)) depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}
