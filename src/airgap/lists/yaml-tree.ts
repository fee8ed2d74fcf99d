/** Owns YAML as the lists need it: values with their lines, aliases and merge keys resolved, in bounded time. */
import {
  type Alias,
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  type Scalar,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import type { Findings } from './findings.ts';
import { quoted } from './references.ts';

/** A value. One that aliases name stands in several places: a walk has to remember where it was. */
export type YamlValue = YamlMapping | YamlSequence | YamlScalar;

export interface YamlMapping {
  kind: 'mapping';
  /** counted from 1 */
  line: number;
  entries: ReadonlyMap<string, YamlValue>;
}

export interface YamlSequence {
  kind: 'sequence';
  line: number;
  items: readonly YamlValue[];
}

export interface YamlScalar {
  kind: 'scalar';
  line: number;
  value: string | number | boolean | null;
  /** as it is written, without quotes */
  source: string;
}

/** Deeper is no file of a project, and would be a risk for the stack. */
const MAX_DEPTH = 200;
const TOO_DEEP = `nested deeper than ${MAX_DEPTH} levels; no manifest or Compose file is`;
/** Merge keys copy what they name; a few lines could ask for billions of copies. */
const MAX_MERGED = 100_000;

/**
 * Reads all documents of a YAML or JSON text.
 * @returns one value to each document that is not empty; what is no YAML is a problem among the findings
 */
export function readYaml(text: string, findings: Findings): YamlValue[] {
  const lines = new LineCounter();
  const documents = parse(text, lines, findings);
  const reader = new TreeReader(lines, findings);
  return documents.flatMap((document) => {
    for (const error of document.errors)
      findings.addProblem(lineOf(error, lines), `not YAML: ${error.message}`);
    if (document.errors.length > 0) return [];
    const value = document.contents && reader.readDocument(document.contents);
    const isEmpty = !value || (value.kind === 'scalar' && value.value === null);
    return isEmpty ? [] : [value];
  });
}

/** @returns the entry of a mapping, undefined where there is none or `value` is no mapping */
export function entryOf(value: YamlValue | undefined, key: string): YamlValue | undefined {
  return value?.kind === 'mapping' ? value.entries.get(key) : undefined;
}

/** @returns the text of a string, undefined for anything else */
export function textOf(value: YamlValue | undefined): string | undefined {
  return value?.kind === 'scalar' && typeof value.value === 'string' ? value.value : undefined;
}

/** The parser keeps its depth in memory, the composer on the stack: what is too deep must not reach it. */
function parse(text: string, lines: LineCounter, findings: Findings): Document[] {
  // Unique keys are looked for in quadratic time: the reader below finds those that are there twice.
  const composer = new Composer({ uniqueKeys: false, logLevel: 'silent' });
  const documents: Document[] = [];
  for (const token of new Parser(lines.addNewLine).parse(text)) {
    const deep = offsetOfTooDeep(token);
    if (deep === undefined) documents.push(...composer.next(token));
    else {
      findings.addProblem(lines.linePos(deep).line, TOO_DEEP);
      return [];
    }
  }
  return [...documents, ...composer.end()];
}

function offsetOfTooDeep(root: CST.Token): number | undefined {
  const waiting: [token: CST.Token, depth: number][] = [[root, 0]];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [token, depth] = next;
    if (depth > MAX_DEPTH) return token.offset;
    if (token.type === 'document' && token.value) waiting.push([token.value, depth]);
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) {
      if (key) waiting.push([key, depth + 1]);
      if (value) waiting.push([value, depth + 1]);
    }
  }
  return undefined;
}

function lineOf(error: YAMLError, lines: LineCounter): number {
  return Math.max(1, lines.linePos(error.pos[0]).line);
}

/** Turns the parser's nodes into values. An alias gives the very value of its anchor, so that nothing is expanded. */
class TreeReader {
  readonly #lines: LineCounter;
  readonly #findings: Findings;
  readonly #anchors = new Map<string, YamlValue | undefined>();
  #merged = 0;

  constructor(lines: LineCounter, findings: Findings) {
    this.#lines = lines;
    this.#findings = findings;
  }

  readDocument(root: Node): YamlValue | undefined {
    this.#anchors.clear();
    return this.#read(root);
  }

  /** @returns undefined where there is a problem, which is then among the findings */
  #read(node: Node): YamlValue | undefined {
    if (isAlias(node)) return this.#resolve(node);
    const line = this.#lineOf(node);
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    // Known from here on, its value only at its end: an alias inside would contain itself.
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const value = this.#readValue(node, line);
    if (anchor !== undefined) this.#anchors.set(anchor, value);
    return value;
  }

  #readValue(node: Node, line: number): YamlValue | undefined {
    if (isMap(node)) return this.#readMapping(node, line);
    if (isScalar(node)) return readScalar(node, line);
    if (!isSeq(node)) return undefined;
    const items = node.items.flatMap((item): YamlValue[] => {
      const value = isNode(item) ? this.#read(item) : undefined;
      return value ? [value] : [];
    });
    return { kind: 'sequence', line, items };
  }

  #readMapping(node: YAMLMap, line: number): YamlMapping {
    const entries = new Map<string, YamlValue>();
    const merged: YamlValue[] = [];
    for (const { key, value } of node.items) {
      if (isNode(value) && isReset(value)) continue;
      const keyLine = isNode(key) ? this.#lineOf(key) : line;
      const name = isScalar(key) ? sourceOf(key) : undefined;
      if (name === undefined) {
        this.#findings.addProblem(keyLine, 'a key is no plain text; write it as text');
        continue;
      }
      const read = isNode(value) ? this.#read(value) : nothingAt(keyLine);
      if (!read) continue;
      if (name === '<<') merged.push(...(read.kind === 'sequence' ? read.items : [read]));
      else if (entries.has(name)) {
        this.#findings.addProblem(keyLine, `the key ${quoted(name)} is there twice; keep one of them`);
      } else entries.set(name, read);
    }
    for (const source of merged) this.#merge(entries, source, line);
    return { kind: 'mapping', line, entries };
  }

  /** What a mapping has by itself wins over what it merges, and the first that it merges over the next. */
  #merge(entries: Map<string, YamlValue>, source: YamlValue, line: number): void {
    if (source.kind !== 'mapping') {
      this.#findings.addProblem(source.line, 'what << merges is no mapping; name an anchor of one');
      return;
    }
    for (const [name, value] of source.entries) {
      this.#merged += 1;
      if (this.#merged === MAX_MERGED) {
        this.#findings.addProblem(line, `merge keys give more than ${MAX_MERGED} entries; merge less`);
      }
      if (this.#merged >= MAX_MERGED) return;
      if (!entries.has(name)) entries.set(name, value);
    }
  }

  #resolve(alias: Alias): YamlValue | undefined {
    const value = this.#anchors.get(alias.source);
    if (value) return value;
    const isOpen = this.#anchors.has(alias.source);
    const fault = isOpen ? 'stands inside of what it names' : 'names no anchor before it';
    this.#findings.addProblem(this.#lineOf(alias), `the alias *${alias.source} ${fault}; correct it`);
    return undefined;
  }

  #lineOf(node: Node): number {
    return this.#lines.linePos(node.range?.[0] ?? 0).line;
  }
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value);
}

/** Compose takes an entry away with `!reset` (compose-spec, "Merge and override"). */
function isReset(node: Node): boolean {
  return !isAlias(node) && 'tag' in node && node.tag === '!reset';
}

function nothingAt(line: number): YamlScalar {
  return { kind: 'scalar', line, value: null, source: '' };
}

function readScalar(node: Scalar, line: number): YamlScalar {
  const { value } = node;
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return { kind: 'scalar', line, value: isPlain ? value : null, source: sourceOf(node) };
}

function sourceOf(node: Scalar): string {
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value ?? ''));
}
