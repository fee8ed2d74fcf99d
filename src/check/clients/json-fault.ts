/** Owns what is wrong with a text that is no JSON: where, and the likely cause. Pure. */
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser';

export interface JsonFault {
  /** from 1 */
  line: number;
  column: number;
  cause: string;
  remedy: string;
}

/** @returns the value, or where and why the text is none. A text is JSON exactly where `JSON.parse` takes it. */
export function readJson(text: string): { value: unknown } | { fault: JsonFault } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return { fault: faultOf(text) }; // its message depends on the engine, and quotes the text
  }
}

/** @returns line and column of an offset, from 1 */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lines = before.split(/\r\n|\r|\n/);
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

function faultOf(text: string): JsonFault {
  const { offset, cause, remedy } = explain(text);
  return { ...placeOf(text, offset), cause, remedy };
}

interface Explanation {
  offset: number;
  cause: string;
  remedy: string;
}

function explain(text: string): Explanation {
  if (text.startsWith('\ufeff'))
    return {
      offset: 0,
      cause: 'it begins with a byte order mark (BOM), which some editors put there',
      remedy: 'save it as UTF-8 without BOM',
    };
  if (text.trim() === '')
    return { offset: 0, cause: 'it is empty', remedy: 'write {} into it, or remove it' };
  const errors: ParseError[] = [];
  try {
    parse(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false });
  } catch {
    // It calls itself for what is inside.
    return { offset: 0, cause: 'it is nested too deeply', remedy: OTHERWISE.remedy };
  }
  const [first] = errors;
  if (!first) return unlikely(text);
  return explainError(text, first);
}

function explainError(text: string, { error: code, offset, length }: ParseError): Explanation {
  const error = printParseErrorCode(code);
  const rest = text.slice(offset);
  const before = text.slice(0, offset).trimEnd();
  if (/[}\]]/.test(rest.charAt(0)) && before.endsWith(','))
    return {
      offset: before.length - 1,
      cause: 'a comma stands behind the last entry',
      remedy: 'remove that comma',
    };
  if (error === 'InvalidCommentToken' || /^(?:\/\/|\/\*|#)/.test(rest))
    return { offset, cause: 'JSON has no comments', remedy: 'remove the comment' };
  if (/^['`]/.test(rest))
    return { offset, cause: 'text stands in single quotes', remedy: 'use double quotes (")' };
  const smart = rest.slice(0, Math.max(1, length)).search(/[\u2018-\u201f\u00ab\u00bb\u2033]/);
  if (smart >= 0)
    return {
      offset: offset + smart,
      cause: 'it has typographic quotes, as word processors and web pages write them',
      remedy: 'use plain double quotes (")',
    };
  if (/^[\u00a0\u2000-\u200f\u202f\u2060\u3000\ufeff]/.test(rest))
    return {
      offset,
      cause: 'a space stands here that is none for JSON, such as web pages have',
      remedy: 'replace it by a plain space',
    };
  if (/^(?:True|False|None|yes|no|on|off)\b/.test(rest))
    return {
      offset,
      cause: 'this is no value of JSON',
      remedy: 'write true, false, null, or text in double quotes',
    };
  return { offset, ...(WORDS[error] ?? OTHERWISE) };
}

const OTHERWISE = { cause: 'something is not as JSON has it', remedy: 'compare it with an example' };

const WORDS: Readonly<Record<string, { cause: string; remedy: string }>> = {
  PropertyNameExpected: {
    cause: 'a key in double quotes is missing here',
    remedy: 'put the key into double quotes',
  },
  InvalidSymbol: {
    cause: 'this is no value of JSON',
    remedy: 'put text into double quotes (")',
  },
  ValueExpected: {
    cause: 'a value is missing here',
    remedy: 'write one, or remove its key',
  },
  ColonExpected: { cause: 'a colon is missing behind a key', remedy: 'put one' },
  CommaExpected: {
    cause: 'a comma is missing between two entries',
    remedy: 'put one behind the entry before',
  },
  CloseBraceExpected: { cause: 'a } is missing', remedy: 'close what was opened' },
  CloseBracketExpected: { cause: 'a ] is missing', remedy: 'close what was opened' },
  EndOfFileExpected: {
    cause: 'text follows behind the end',
    remedy: 'remove it: the file is one {…}',
  },
  UnexpectedEndOfString: {
    cause: 'the closing quote of a text is missing',
    remedy: 'close it on the same line',
  },
  InvalidEscapeCharacter: {
    cause: 'a backslash stands in front of what needs none',
    remedy: 'write a backslash as \\\\',
  },
  InvalidCharacter: {
    cause: 'a tab, a line break or another control character stands inside a text',
    remedy: 'remove it, or write \\t or \\n',
  },
  InvalidNumberFormat: {
    cause: 'this is no number of JSON',
    remedy: 'write it as 1 or 0.5',
  },
};

/** jsonc-parser takes what JSON.parse does not: spaces of other alphabets, control characters. */
function unlikely(text: string): Explanation {
  const at = text.search(/[^\S\t\n\r ]|(?![\t\n\r])\p{Cc}/u);
  return { offset: Math.max(0, at), ...OTHERWISE };
}
