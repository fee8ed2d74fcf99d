/** Owns where things stand in a TOML text: tables, entries, arrays; and lines that are put beside them. Pure. */
import { type AST, getStaticTOMLValue, ParseError, parseTOML } from 'toml-eslint-parser';
import { UneditableError } from './file-edit.ts';
import { asLinesOf, lineEnd, lineStart, placeOf, type Range, splice, type WrittenArray } from './text.ts';

export interface TomlEntry {
  key: readonly string[];
  /** of key and value */
  range: Range;
  valueRange: Range;
  /** where the value is an array */
  array: WrittenArray | undefined;
}

export interface TomlTable {
  isArray: boolean;
  /** with the index in each array of tables: `registry`, 0, `mirror`, 1 */
  key: readonly (string | number)[];
  /** from the header to the end of the last entry */
  range: Range;
  entries: readonly TomlEntry[];
}

export interface Toml {
  text: string;
  /** what is before the first table */
  entries: readonly TomlEntry[];
  tables: readonly TomlTable[];
  value: Readonly<Record<string, unknown>>;
}

/** @throws UneditableError with the place */
export function parseToml(text: string): Toml {
  const [top] = parse(text).body;
  const entries: TomlEntry[] = [];
  const tables: TomlTable[] = [];
  for (const node of top.body) {
    if (node.type === 'TOMLKeyValue') entries.push(entryOf(node));
    else
      tables.push({
        isArray: node.kind === 'array',
        key: node.resolvedKey,
        range: node.range,
        entries: node.body.map(entryOf),
      });
  }
  return { text, entries, tables, value: getStaticTOMLValue(top.parent) as Toml['value'] };
}

function parse(text: string): AST.TOMLProgram {
  try {
    return parseTOML(text);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new UneditableError(`it is no TOML: ${error.message}`, placeOf(text, error.index));
  }
}

function entryOf(node: AST.TOMLKeyValue): TomlEntry {
  const { value } = node;
  return {
    key: node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value)),
    range: node.range,
    valueRange: value.range,
    array:
      value.type === 'TOMLArray'
        ? { range: value.range, items: value.elements.map(({ range }) => range) }
        : undefined,
  };
}

/** @returns the value at a path; undefined where there is none */
export function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null ? (at as Record<string | number, unknown>)[key] : undefined,
    value,
  );
}

/** @returns whether a table has that key, or stands below it */
export function isAtOrBelow({ key }: TomlTable, path: readonly (string | number)[]): boolean {
  return path.every((part, index) => key[index] === part);
}

export function tableAt({ tables }: Toml, path: readonly (string | number)[]): TomlTable | undefined {
  return tables.find((table) => table.key.length === path.length && isAtOrBelow(table, path));
}

export function entryAt({ entries }: Pick<TomlTable, 'entries'>, key: string): TomlEntry | undefined {
  return entries.find((entry) => entry.key.length === 1 && entry.key[0] === key);
}

/** Puts a table before another, above the comments that belong to that, indented as it is. */
export function insertBefore(text: string, table: TomlTable, block: string): string {
  let at = lineStart(text, table.range[0]);
  const indent = text.slice(at, table.range[0]);
  while (at > 0 && /^[ \t]*#/.test(text.slice(lineStart(text, at - 1)))) at = lineStart(text, at - 1);
  return splice(text, [at, at], asLinesOf(text, `${block}\n`, indent));
}

/** Puts an entry first into a table, indented as the others. */
export function insertFirst(text: string, table: TomlTable, entry: string): string {
  const first = table.entries[0];
  const header = text.slice(lineStart(text, table.range[0]), table.range[0]);
  const indent = first ? text.slice(lineStart(text, first.range[0]), first.range[0]) : `${header}  `;
  const at = lineEnd(text, table.range[0]);
  const lead = text[at - 1] === '\n' ? '' : asLinesOf(text, '\n');
  return splice(text, [at, at], lead + asLinesOf(text, `${entry}\n`, indent));
}
