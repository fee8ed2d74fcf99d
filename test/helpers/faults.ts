/** Owns the faults of the matrix: each strikes at a place of the content, whatever part of it was asked for. */
import type { Answer, Persona } from './persona-server.ts';
import { failing, gzipping, htmlWith200, inTurn, silent, withoutRanges } from './personas.ts';

const BODY_FAULTS = ['reset', 'short', 'silent', 'corrupt', 'wrong length'] as const;
const HEAD_FAULTS = [
  '5xx',
  'slow headers',
  'expired URL',
  'no ranges',
  'wrong Content-Range',
  'gzip-encoded',
  'HTML with 200',
] as const;
export const FAULTS = [...BODY_FAULTS, ...HEAD_FAULTS];
/** What went out before the fault: nothing, half of the content, all of it but one byte. */
export const PLACES = ['first byte', 'middle', 'last byte'] as const;

/** Strikes inside a body. */
type BodyFault = (typeof BODY_FAULTS)[number];
/** Is known when the head of an answer is there: of the first one, or of the one to the resume at its place. */
type HeadFault = (typeof HEAD_FAULTS)[number];
export type Fault = BodyFault | HeadFault;
export type Place = (typeof PLACES)[number];

export interface Strike {
  fault: Fault;
  place: Place;
  isOnce: boolean;
  /** opens when the client has all that it can have until then: bodies stop short of their end for it */
  shown: Promise<void>;
  /** opens when nobody asks any more */
  never: Promise<void>;
}

/** @returns what plays the fault to those who ask for one content, one after the other */
export function striking(strike: Strike): Persona {
  const { fault, place, isOnce, shown, never } = strike;
  const persona = isBodyFault(fault) ? bodyFault(fault, strike) : headFault(fault, never);
  const before = isBodyFault(fault) || place === 'first byte' ? [] : [breakingAt(place, shown)];
  return isOnce ? inTurn([...before, persona]) : inTurn(before, persona);
}

export function isBodyFault(fault: Fault): fault is BodyFault {
  return BODY_FAULTS.some((name) => name === fault);
}

/** @returns the offset of a place in so many bytes */
export function offsetOf(place: Place, size: number): number {
  if (place === 'first byte') return 0;
  return place === 'middle' ? size >> 1 : size - 1;
}

/** Breaks the connection there: the reason to go on with another request. */
export function breakingAt(place: Place, shown: Promise<void>): Persona {
  return changing(place, (plain, at) => cut(plain, at, shown));
}

function bodyFault(fault: BodyFault, { place, shown, never }: Strike): Persona {
  switch (fault) {
    case 'reset':
      return changing(place, (plain, at) => ({ ...cut(plain, at, shown), isReset: true }));
    case 'short':
      return breakingAt(place, shown);
    case 'silent':
      return changing(place, (plain, at) => ({ ...plain, hold: { at: Math.max(0, at), gate: never } }));
    case 'corrupt':
      return changing(place, (plain, at) => heldBeforeEnd(flipped(plain, at), shown));
    case 'wrong length':
      return changing(place, (plain, at) => heldBeforeEnd(ended(plain, at), shown));
  }
}

function headFault(fault: HeadFault, never: Promise<void>): Persona {
  switch (fault) {
    case '5xx':
      return failing(503);
    case 'slow headers':
      return silent(never);
    case 'expired URL':
      return failing(403);
    case 'no ranges':
      return withoutRanges();
    case 'wrong Content-Range':
      return changing('first byte', shifted);
    case 'gzip-encoded':
      return gzipping();
    case 'HTML with 200':
      return htmlWith200();
  }
}

/** @param change is told where in this answer's body the place is: below 0 where it starts behind it */
function changing(place: Place, change: (plain: Answer, at: number) => Answer): Persona {
  return async (_asked, answer) => {
    const plain = await answer();
    if (plain.body === undefined) return plain;
    const start = startOf(plain);
    return change(plain, offsetOf(place, start + plain.body.length) - start);
  };
}

/** @returns the offset of an answer's first byte in the content */
function startOf({ headers }: Answer): number {
  return Number(headers?.['content-range']?.match(/^bytes (\d+)-/)?.[1] ?? 0);
}

function cut(plain: Answer, at: number, gate: Promise<void>): Answer {
  const breakAfter = Math.max(0, at);
  return { ...plain, breakAfter, hold: { at: breakAfter, gate } };
}

function heldBeforeEnd(plain: Answer, gate: Promise<void>): Answer {
  return { ...plain, hold: { at: Math.max(0, (plain.body?.length ?? 0) - 1), gate } };
}

function flipped(plain: Answer, at: number): Answer {
  const body = Buffer.from(plain.body ?? '');
  if (at >= 0 && at < body.length) body.writeUInt8(body.readUInt8(at) ^ 1, at);
  return { ...plain, body };
}

/** It ends there, and says so from the start. */
function ended(plain: Answer, at: number): Answer {
  const body = plain.body?.subarray(0, Math.max(0, at)) ?? Buffer.alloc(0);
  return { ...plain, headers: { ...plain.headers, 'content-length': String(body.length) }, body };
}

/** The content from one byte off, which says so. */
function shifted(plain: Answer): Answer {
  const start = startOf(plain);
  const whole = plain.body ?? Buffer.alloc(0);
  const body = start === 0 ? whole.subarray(1) : Buffer.concat([Buffer.alloc(1), whole]);
  const size = start + whole.length;
  const range = `bytes ${start === 0 ? 1 : start - 1}-${size - 1}/${size}`;
  const headers = { ...plain.headers, 'content-range': range, 'content-length': String(body.length) };
  return { ...plain, status: 206, headers, body };
}
