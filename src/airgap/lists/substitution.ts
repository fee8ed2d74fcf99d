/** Owns variables inside text: `$NAME`, `${NAME:-word}` and what else Compose and Dockerfiles share of the shell. Pure. */

/** A variable that has a value which cannot be known here. */
export interface Unknown {
  /** what goes on after the variable's name: `depends on the platform` */
  why: string;
  /** the statement at the root of it, where that is about another variable */
  because?: string;
}

/** What differs between the kinds of files. */
export interface Dialect {
  /** @returns the value; undefined where it is unset; or why it cannot be known */
  lookUp(name: string): string | Unknown | undefined;
  /** whether `$$` stands for `$` (Compose) */
  doublesDollar: boolean;
  /** what takes the meaning from the next character; undefined where text has neither this nor quotes (Compose) */
  escapeChar: string | undefined;
}

/** A text could not be expanded; the message says why and what to do. */
export class SubstitutionError extends Error {
  /** what is at its root, fit to be quoted in another message */
  readonly because: string;

  constructor(message: string, because = message) {
    super(message);
    this.name = 'SubstitutionError';
    this.because = because;
  }
}

/** No image or platform comes near it; values that name each other could grow without it. */
const MAX_EXPANDED_LENGTH = 16_384;
const MAX_DEPTH = 20;

function expand(text: string, dialect: Dialect): string {
  const cursor: Cursor = { text, at: 0, dialect };
  return readUntil(cursor, undefined, true, 0);
}

/** Expands every variable. @returns the error where one that is needed has no value, or the text is malformed */
export function tryExpand(text: string, dialect: Dialect): string | SubstitutionError {
  try {
    return expand(text, dialect);
  } catch (error) {
    if (error instanceof SubstitutionError) return error;
    throw error;
  }
}

interface Cursor {
  readonly text: string;
  at: number;
  readonly dialect: Dialect;
}

/**
 * Reads up to `end`, which is taken too.
 * @param isLive false where the outcome is thrown away: then no variable needs a value
 */
function readUntil(cursor: Cursor, end: string | undefined, isLive: boolean, depth: number): string {
  if (depth > MAX_DEPTH) throw new SubstitutionError('variables are nested too deeply; write it simpler');
  const { text, dialect } = cursor;
  const pieces: string[] = [];
  let length = 0;
  let quote: string | undefined;
  while (cursor.at < text.length) {
    const char = text.charAt(cursor.at);
    let piece = '';
    if (char === end && quote === undefined) {
      cursor.at += 1;
      return pieces.join('');
    }
    if (char === '$' && quote !== "'") {
      piece = readVariable(cursor, isLive, depth);
    } else if (dialect.escapeChar !== undefined && (char === quote || (!quote && /["']/.test(char)))) {
      quote = quote === undefined ? char : undefined;
      cursor.at += 1;
    } else {
      if (char === dialect.escapeChar && quote !== "'") cursor.at += 1;
      piece = text.charAt(cursor.at);
      cursor.at += 1;
    }
    pieces.push(piece);
    length += piece.length;
    if (length > MAX_EXPANDED_LENGTH)
      throw new SubstitutionError('too long with its variables; write it simpler');
  }
  if (quote !== undefined) throw new SubstitutionError(`a closing ${quote} is missing`);
  if (end !== undefined) throw new SubstitutionError('a closing } is missing after ${');
  return pieces.join('');
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-+?]/y;

function readVariable(cursor: Cursor, isLive: boolean, depth: number): string {
  const { text, dialect } = cursor;
  cursor.at += 1;
  if (dialect.doublesDollar && text.charAt(cursor.at) === '$') {
    cursor.at += 1;
    return '$';
  }
  const isBraced = text.charAt(cursor.at) === '{';
  if (isBraced) cursor.at += 1;
  const name = take(cursor, NAME);
  if (name === undefined) {
    if (isBraced) throw new SubstitutionError('no name of a variable follows ${; add it');
    return '$';
  }
  if (!isBraced) return isLive ? valueNamed(name, dialect) : '';
  if (text.charAt(cursor.at) === '}') {
    cursor.at += 1;
    return isLive ? valueNamed(name, dialect) : '';
  }
  const operator = take(cursor, OPERATOR);
  if (operator === undefined) {
    throw new SubstitutionError(`what follows $\{${name} is not understood; write the value in its place`);
  }
  return applyOperator(cursor, name, operator, isLive, depth);
}

function applyOperator(
  cursor: Cursor,
  name: string,
  operator: string,
  isLive: boolean,
  depth: number,
): string {
  const found = isLive ? cursor.dialect.lookUp(name) : '';
  const isSet = found !== undefined && !(operator.startsWith(':') && found === '');
  const kind = operator.at(-1);
  const isWordLive = isLive && (kind === '+' ? isSet : kind === '-' && !isSet);
  const word = readUntil(cursor, '}', isWordLive, depth + 1);
  if (!isLive) return '';
  if (kind === '+') return isSet ? word : '';
  if (!isSet && kind === '?') {
    throw new SubstitutionError(`the variable ${name} is required${word && ` (${word})`}; set it`);
  }
  return isSet ? valueNamed(name, cursor.dialect) : word;
}

function valueNamed(name: string, dialect: Dialect): string {
  const found = dialect.lookUp(name);
  if (typeof found === 'string') return found;
  const why = found?.why ?? 'is not set';
  throw new SubstitutionError(
    `the variable ${name} ${why}; set it, or give it a default as in $\{${name}:-…}`,
    found?.because ?? `${name} ${why}`,
  );
}

function take(cursor: Cursor, pattern: RegExp): string | undefined {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text)?.[0];
  cursor.at += found?.length ?? 0;
  return found;
}
