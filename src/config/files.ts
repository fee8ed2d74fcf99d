/** Owns reading the configuration's files: bounded, and with failures named in words. */
import { readFileSync, statSync } from 'node:fs';
import { LineCounter, parseDocument, type YAMLParseError } from 'yaml';
import type { Problem } from './problems.ts';

const MAX_FILE_BYTES = 1024 * 1024;

/** Why a file could not be read, in words that complete "expected a file that can be read". */
export class Unreadable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is none at this path',
  ENOTDIR: 'there is none at this path',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EISDIR: 'this is a directory',
};

/** The text of a file, or why there is none. Blocks: it is read once, before anything is served. */
export function readText(path: string): string | Unreadable {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return new Unreadable('this one has more than 1MiB');
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return new Unreadable(reasons[code] ?? code);
  }
}

/**
 * The tree that a YAML text stands for; an empty text is an empty mapping. The parser's own messages quote what they
 * stumble over, which may be a password: only its error codes are used.
 */
export function parseYaml(text: string, path: string): { tree: unknown } | { problem: Problem } {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  // An unknown tag is only a warning to the parser, but it swallows the value: an unquoted password of `!x`.
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    return { problem: syntaxProblem(path, expectation(fault.code), `line ${line}, column ${col}`) };
  }
  try {
    const tree: unknown = document.toJS() ?? {};
    if (typeof tree === 'object' && !Array.isArray(tree)) return { tree };
    return { problem: syntaxProblem(path, 'keys with values, such as "listen: 127.0.0.1:5000"') };
  } catch (error) {
    // Thrown for aliases only: one without its anchor, or so many that they would fill the memory.
    if (!(error instanceof ReferenceError)) throw error;
    return {
      problem: syntaxProblem(
        path,
        'an anchor (&name) for every alias (*name); quote text that begins with *',
      ),
    };
  }
}

function syntaxProblem(path: string, expected: string, place?: string): Problem {
  return { path, found: undefined, expected: place === undefined ? expected : `${expected} (${place})` };
}

function expectation(code: YAMLParseError['code']): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'each key once in a mapping';
    case 'TAB_AS_INDENT':
      return 'spaces for indentation, not tabs';
    case 'BAD_SCALAR_START':
      return 'quotes around text that begins with a character reserved in YAML';
    case 'TAG_RESOLVE_FAILED':
      return 'quotes around text that begins with !';
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
      return 'one "key: value" to a line; quote text with ": " in it';
    case 'MISSING_CHAR':
      return 'a closing quote or bracket, or a colon behind a key';
    case 'MULTIPLE_DOCS':
      return 'one document, without a second "---"';
    case 'BAD_INDENT':
      return 'keys of one mapping at the same indentation, and a closing bracket for every open one';
    case 'BAD_DQ_ESCAPE':
      return 'a known escape behind \\ in double quotes; use single quotes for text with backslashes';
    default:
      return 'valid YAML; quote text with special characters in it, such as "[::1]:5000"';
  }
}
