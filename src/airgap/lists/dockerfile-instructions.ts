/** Owns the outer grammar of Dockerfiles: directives, instructions, continued lines, flags, heredocs. Pure. */
// It follows BuildKit's own parser (moby/buildkit, frontend/dockerfile/parser): a line taken for a part of a heredoc is an
// image that is not fetched, so that what BuildKit takes for one has to be one here, and nothing else.
import { quoted } from './references.ts';

export interface Instruction {
  /** upper case: FROM, COPY… */
  keyword: string;
  /** where it begins, counted from 1 */
  line: number;
  /** what follows the flags, lines joined, white space at both ends taken off */
  rest: string;
  /** `--from=x`, without quotes and escapes, in order */
  flags: readonly string[];
}

export interface ParsedDockerfile {
  /** what takes the meaning from the next character, and joins lines at their end */
  escapeChar: string;
  /** the image of the frontend, from `# syntax=` */
  syntax: { text: string; line: number } | undefined;
  instructions: Instruction[];
  problems: { line: number; text: string }[];
}

/** @param lines without their line ends; no byte order mark */
export function parseDockerfile(lines: readonly string[]): ParsedDockerfile {
  const parsed: ParsedDockerfile = { ...readDirectives(lines), instructions: [], problems: [] };
  const { escapeChar, instructions, problems } = parsed;
  for (let index = 0; index < lines.length; ) {
    const { text, next } = joinLines(lines, index, escapeChar);
    const line = index + 1;
    index = next;
    if (text.trim() === '') continue;
    const instruction = { ...splitInstruction(text, escapeChar), line };
    instructions.push(instruction);
    if (!takesHeredocs(instruction, escapeChar)) continue;
    for (const heredoc of heredocsOf(text)) {
      while (index < lines.length && !isEndOf(heredoc, lines[index] ?? '')) index += 1;
      if (index === lines.length) {
        problems.push({
          line,
          text: `the text after ${quoted(`<<${heredoc.name}`)} has no end; add its last line`,
        });
      }
      index += 1;
    }
  }
  return parsed;
}

/**
 * @returns an instruction out of its text, such as the one in an ONBUILD
 */
export function splitInstruction(text: string, escapeChar: string): Omit<Instruction, 'line'> {
  const trimmed = text.trim();
  const [keyword = ''] = trimmed.split(/\s/, 1);
  const { flags, rest } = splitFlags(trimmed.slice(keyword.length).trimStart(), escapeChar);
  return { keyword: keyword.toUpperCase(), flags, rest: rest.trim() };
}

type Directives = Pick<ParsedDockerfile, 'escapeChar' | 'syntax'>;

/** Directives stand before everything else, and each once. */
function readDirectives(lines: readonly string[]): Directives {
  const found: Directives = { escapeChar: '\\', syntax: undefined };
  const start = lines[0]?.startsWith('#!') ? 1 : 0;
  for (let index = start; index < lines.length; index++) {
    const [, name, value = ''] =
      /^#\s*([a-z][a-z0-9]*)\s*=\s*(\S.*)$/i.exec((lines[index] ?? '').trim()) ?? [];
    const key = name?.toLowerCase();
    if (key === 'escape') found.escapeChar = value === '`' ? value : '\\';
    else if (key === 'syntax') found.syntax = { text: value.split(' ', 1)[0] ?? '', line: index + 1 };
    else if (key !== 'check') break;
  }
  return found;
}

/** Joins a line with those that continue it. Comments and empty lines between them do not end it. */
function joinLines(
  lines: readonly string[],
  start: number,
  escapeChar: string,
): { text: string; next: number } {
  const pieces: string[] = [];
  let index = start;
  let isContinued = true;
  while (isContinued && index < lines.length) {
    const line = lines[index] ?? '';
    index += 1;
    if (isComment(line) || (line.trim() === '' && index - 1 > start)) {
      if (pieces.length === 0) break;
      continue;
    }
    const piece = withoutContinuation(line, escapeChar);
    isContinued = piece !== undefined;
    pieces.push(piece ?? line);
  }
  return { text: pieces.join(''), next: index };
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith('#');
}

/** @returns what stands before the character that continues a line; undefined where there is none */
function withoutContinuation(line: string, escapeChar: string): string | undefined {
  const trimmed = line.trimEnd();
  const isContinued = trimmed.endsWith(escapeChar) && trimmed.at(-2) !== escapeChar;
  return isContinued ? trimmed.slice(0, -1) : undefined;
}

/** Flags stand before the arguments, in words that may have quotes and escapes. A `--` ends them. */
function splitFlags(text: string, escapeChar: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let at = 0;
  while (text.startsWith('--', at)) {
    const word = readWord(text, at, escapeChar);
    at = word.end;
    while (/\s/.test(text.charAt(at))) at += 1;
    if (word.text === '--') break;
    flags.push(word.text);
  }
  return { flags, rest: text.slice(at) };
}

/** Reads up to white space outside of quotes. */
export function readWord(text: string, start: number, escapeChar: string): { text: string; end: number } {
  const chars: string[] = [];
  let quote: string | undefined;
  let at = start;
  for (; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote === undefined && /\s/.test(char)) break;
    if (quote === undefined && /["']/.test(char)) quote = char;
    else if (char === quote) quote = undefined;
    else if (char === escapeChar) {
      at += 1;
      chars.push(text.charAt(at));
    } else chars.push(char);
  }
  return { text: chars.join(''), end: Math.min(at, text.length) };
}

function takesHeredocs(instruction: Omit<Instruction, 'line'>, escapeChar: string): boolean {
  const { keyword, rest } = instruction;
  if (keyword === 'ONBUILD') {
    const inner = splitInstruction(rest, escapeChar);
    return inner.keyword !== 'ONBUILD' && takesHeredocs(inner, escapeChar);
  }
  return ['ADD', 'COPY', 'RUN'].includes(keyword); // in JSON, all of them are in quotes
}

interface Heredoc {
  name: string;
  /** whether tabs may stand before its end: `<<-` */
  isIndented: boolean;
}

function isEndOf({ name, isIndented }: Heredoc, line: string): boolean {
  return (isIndented ? line.replace(/^\t+/, '') : line) === name;
}

function heredocsOf(text: string): Heredoc[] {
  if (!text.includes('<<')) return [];
  return shellWords(text).flatMap((word): Heredoc[] => {
    const [, dash, rest = ''] = /^\d*<<(-?)\s*([^<]*)$/.exec(word) ?? [];
    const name = readWord(rest, 0, '\\');
    return name.text !== '' && name.end === rest.length
      ? [{ name: name.text, isIndented: dash === '-' }]
      : [];
  });
}

/**
 * Splits as a shell does, quotes and escapes kept. White space after `<<` is a part of the word.
 * @returns nothing where quotes or braces do not close: such a line has no heredoc for BuildKit
 */
function shellWords(text: string): string[] {
  const words: string[] = [];
  // One alternative to each kind of piece, told by its first character: nothing is read twice.
  const piece = /(\s+)|<<\s*|\\.?|'[^']*'|"(?:[^"\\]|\\.)*"|\$\{[^}]*\}|(["']|\$\{)|[^\s<\\'"$]+|[<$]/sy;
  let word = '';
  for (let match = piece.exec(text); match; match = piece.exec(text)) {
    const [whole, space, unclosed] = match;
    if (unclosed !== undefined) return [];
    if (space === undefined) word += whole;
    else if (word !== '') {
      words.push(word);
      word = '';
    }
  }
  return word === '' ? words : [...words, word];
}
