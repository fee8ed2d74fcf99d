/** Owns how what others wrote is quoted: short, on one line, and without what could be a secret. Pure. */

const MAX_LENGTH = 120;

/**
 * @returns the text in quotes, without what is in front of an `@` and behind a `?` or `#`, where URLs keep secrets.
 *   What steers a terminal is written out.
 */
export function quoted(value: unknown): string {
  if (typeof value !== 'string') return nameOfType(value);
  return JSON.stringify(withoutSecrets(value)).replace(
    /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** @returns the text as it is, without what could be a secret in it */
export function withoutSecrets(text: string): string {
  if (text.includes('-----BEGIN')) return '***';
  const masked = text.replace(/^([^@]*?:?\/\/)?[^@]*@/s, '$1***@').replace(/([?#]).+$/s, '$1***');
  return masked.length > MAX_LENGTH ? `${masked.slice(0, MAX_LENGTH)}…` : masked;
}

function nameOfType(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Date) return 'a date';
  return typeof value === 'object'
    ? 'a table'
    : `${typeof value === 'number' ? 'the number' : ''} ${String(value)}`.trim();
}
