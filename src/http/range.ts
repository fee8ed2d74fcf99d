/** Owns the reading of `Range` and `If-Range` (RFC 9110 §14). Pure. */

/** What a request asks for; offsets in bytes, `end` is the last one included. */
export type WantedRange =
  | { kind: 'whole' }
  | { kind: 'range'; start: number; end: number | undefined }
  | { kind: 'suffix'; length: number }
  | { kind: 'malformed' };

/** The part of content of a known size that is sent: `start` included, `end` not. */
export interface Part {
  start: number;
  end: number;
}

/**
 * @param range the `Range` header
 * @param ifRange the `If-Range` header: a range holds only where it is `etag`
 * @returns what is asked for; several ranges and other units are answered with the whole, as the RFC allows
 */
export function parseRange(
  range: string | undefined,
  ifRange: string | undefined,
  etag: string,
): WantedRange {
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return { kind: 'whole' };
  const bytes = range.match(/^bytes\s*=\s*(.*)$/i)?.[1];
  if (bytes === undefined) return /^[\w-]+\s*=/.test(range) ? { kind: 'whole' } : { kind: 'malformed' };
  const specs = bytes.split(',').map((spec) => parseSpec(spec.trim()));
  if (specs.some((spec) => spec.kind === 'malformed')) return { kind: 'malformed' };
  const [only, second] = specs;
  return only && !second ? only : { kind: 'whole' };
}

/** @returns the part that a wanted range is of `size` bytes, undefined where there is no such part (416) */
export function resolveRange(wanted: WantedRange, size: number): Part | undefined {
  switch (wanted.kind) {
    case 'whole':
      return { start: 0, end: size };
    case 'range':
      return wanted.start < size
        ? { start: wanted.start, end: Math.min(size, (wanted.end ?? size - 1) + 1) }
        : undefined;
    case 'suffix':
      return wanted.length > 0 && size > 0
        ? { start: Math.max(0, size - wanted.length), end: size }
        : undefined;
    case 'malformed':
      return undefined;
  }
}

function parseSpec(spec: string): WantedRange {
  const match = spec.match(/^(\d{0,15})-(\d{0,15})$/);
  const [, from = '', to = ''] = match ?? [];
  if (!match || (from === '' && to === '')) return { kind: 'malformed' };
  if (from === '') return { kind: 'suffix', length: Number(to) };
  const start = Number(from);
  const end = to === '' ? undefined : Number(to);
  return end !== undefined && end < start ? { kind: 'malformed' } : { kind: 'range', start, end };
}
