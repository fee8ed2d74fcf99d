/** Owns reading the TOML of clients: the value, or where it is none. Pure. */
import { getStaticTOMLValue, ParseError, parseTOML } from 'toml-eslint-parser';
import { type Finding, voiceOf } from '../check.ts';
import type { ClientFile } from './mirror-use.ts';

export type Table = Readonly<Record<string, unknown>>;

const say = voiceOf('clients');

/**
 * @param consequence what the client does with a file that is none, as a part of a sentence
 * @returns the table, or what is wrong with the text
 */
export function readToml(
  { path, text }: ClientFile,
  id: string,
  consequence: string,
): { table: Table } | { finding: Finding } {
  try {
    return { table: getStaticTOMLValue(parseTOML(text, { tomlVersion: '1.0' })) as Table };
  } catch (error) {
    const facts = error instanceof ParseError ? { line: error.lineNumber, column: error.column + 1 } : {};
    const place = 'line' in facts ? `: line ${facts.line}, column ${facts.column}` : '';
    const message = `${path} is not valid TOML, ${consequence}${place}`;
    return { finding: say.failed(id, message, remedyFor(text), { file: path, ...facts }) };
  }
}

/** What stands at a path of keys; undefined where there is none. Own keys alone: files may name anything. */
export function valueIn(table: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>(
    (at, key) => (isTable(at) && Object.hasOwn(at, key) ? at[key] : undefined),
    table,
  );
}

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** @returns the tables of a list of tables; what is none is left out */
export function tablesIn(value: unknown): Table[] {
  return Array.isArray(value) ? value.filter(isTable) : [];
}

function remedyFor(text: string): string {
  if (text.startsWith('\ufeff')) return 'save it as UTF-8 without a byte order mark (BOM)';
  if (/[\u2018-\u201f]/.test(text)) return 'use plain double quotes (") in place of typographic ones';
  return 'text stands in double quotes, and names with dots or slashes, as in [host."http://127.0.0.1:5000"], too';
}
