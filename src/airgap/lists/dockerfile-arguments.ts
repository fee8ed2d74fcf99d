/** Owns the build arguments that the FROM of a Dockerfile may use: those of every ARG before the first one. */
import type { Instruction } from './dockerfile-instructions.ts';
import type { Findings } from './findings.ts';
import { quoted } from './references.ts';
import { type Dialect, tryExpand } from './substitution.ts';

export type Lookup = Dialect['lookUp'];

/** Set by whoever builds, without an ARG (Dockerfile reference, "Automatic platform ARGs"). */
const AUTOMATIC = /^(?:BUILD|TARGET)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT)$/;

/** @returns whether a build argument has another value for each platform that a build is for */
export function isAutomatic(name: string): boolean {
  return AUTOMATIC.test(name);
}

interface Place {
  escapeChar: string;
  findings: Findings;
}

/**
 * @param declarations each an ARG
 * @param variables win over defaults
 * @returns a look-up for what follows; what is not declared has no value
 */
export function buildArguments(
  declarations: readonly Instruction[],
  variables: Readonly<Record<string, string>>,
  place: Place,
): Lookup {
  const given = (name: string) => (Object.hasOwn(variables, name) ? variables[name] : undefined);
  const values = new Map<string, ReturnType<Lookup>>();
  const lookUp: Lookup = (name) => {
    if (values.has(name)) return values.get(name);
    return isAutomatic(name)
      ? (given(name) ?? { why: 'depends on the platform that is built for' })
      : undefined;
  };
  for (const { keyword, rest, line } of declarations) {
    if (keyword !== 'ARG') continue;
    for (const [name, text] of assignmentsOf(rest, line, place)) {
      const value =
        given(name) ?? (text === undefined ? lookUp(name) : defaultOf(text, place.escapeChar, lookUp));
      values.set(name, value);
    }
  }
  return lookUp;
}

/** A default that cannot be known is a fault only where it is used. */
function defaultOf(text: string, escapeChar: string, lookUp: Lookup): ReturnType<Lookup> {
  const expanded = tryExpand(text, { lookUp, doublesDollar: false, escapeChar });
  if (typeof expanded === 'string') return expanded;
  const { because } = expanded;
  return { why: `has a default that cannot be known (${because})`, because };
}

/** Splits `A=1 B="2 3" C`, quotes and variables kept for the expansion. */
function assignmentsOf(
  rest: string,
  line: number,
  { escapeChar, findings }: Place,
): [name: string, text?: string][] {
  return rawWords(rest, escapeChar).flatMap((word): [string, string?][] => {
    const [, name, , text] = /^([A-Za-z_][A-Za-z0-9_]*)(=(.*))?$/s.exec(word) ?? [];
    if (name === undefined)
      findings.addProblem(line, `ARG takes NAME or NAME=default, not ${quoted(word)}; correct it`);
    return name === undefined ? [] : [text === undefined ? [name] : [name, text]];
  });
}

function rawWords(text: string, escapeChar: string): string[] {
  const words: string[] = [];
  let word = '';
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote === undefined && /\s/.test(char)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    if (char === quote) quote = undefined;
    else if (quote === undefined && /["']/.test(char)) quote = char;
    word += char;
    if (char === escapeChar && at + 1 < text.length) {
      at += 1;
      word += text.charAt(at);
    }
  }
  return word === '' ? words : [...words, word];
}
