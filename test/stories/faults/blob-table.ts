/** Owns what must come of each fault of who sends a blob's bytes, registry or CDN: written down, not computed. */
import { blobOf, KIB, MIB } from '../../helpers/content.ts';
import type { Bound, Cell, Client } from './cells.ts';

export const large = blobOf(3 * MIB, 'fault matrix, large');
/** Proven before its head is sent. */
export const small = blobOf(40 * KIB, 'fault matrix, small');

const L = 3 * MIB;
const HALF = 1.5 * MIB;
const S = 40 * KIB;
const PAGE = 39; // bytes of HTML
const SOME: Bound = [2, 12]; // requests until it is given up

/** A proof that does not come is not waited for for ever: the head goes out, and nothing follows. */
const LATE: readonly Client[] = [504, 'broken'];

const NOT_SIGNED = 'a registry that serves blobs itself signs no address';
const IS_NO_FAULT = 'nothing is resumed, so nothing is asked of its ranges';
const ALWAYS_WORKS = 'it is no failure, however often';

/**
 * Large content: a client sees bytes before they are proven. Wrong bytes end its connection, and hubcap has the right
 * ones when it asks again; a break is a pause.
 */
export const largeCells: readonly Cell[] = [
  ['reset', 'first byte', ['whole', 2, L, 'stored'], ['broken', SOME, 0, 'nothing']],
  ['reset', 'middle', ['whole', 2, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['reset', 'last byte', ['whole', 2, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['short', 'first byte', ['whole', 2, L, 'stored'], ['broken', SOME, 0, 'nothing']],
  ['short', 'middle', ['whole', 2, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['short', 'last byte', ['whole', 2, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['silent', 'first byte', ['whole', 2, L, 'stored'], ['broken', SOME, 0, 'nothing']],
  ['silent', 'middle', ['whole', 2, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['silent', 'last byte', ['whole', 2, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['corrupt', 'first byte', ['broken', 2, 2 * L, 'stored'], ['broken', 2, 2 * L, 'nothing']],
  ['corrupt', 'middle', ['broken', 2, 2 * L, 'stored'], ['broken', 2, 2 * L, 'nothing']],
  ['corrupt', 'last byte', ['broken', 2, 2 * L, 'stored'], ['broken', 2, 2 * L, 'nothing']],
  // Without a byte there is nothing that was shown.
  ['wrong length', 'first byte', ['whole', 2, L, 'stored'], [502, 2, 0, 'nothing']],
  ['wrong length', 'middle', ['broken', 2, HALF + L, 'stored'], ['broken', 2, L, 'nothing']],
  ['wrong length', 'last byte', ['broken', 2, 2 * L - 1, 'stored'], ['broken', 2, 2 * L - 2, 'nothing']],
  ['5xx', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['5xx', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['5xx', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['slow headers', 'first byte', ['whole', 2, L, 'stored'], [504, SOME, 0, 'nothing']],
  ['slow headers', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['slow headers', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['expired URL', 'first byte', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'middle', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'last byte', NOT_SIGNED, NOT_SIGNED],
  ['no ranges', 'first byte', IS_NO_FAULT, IS_NO_FAULT],
  ['no ranges', 'middle', ['whole', 2, HALF + L, 'stored'], ALWAYS_WORKS],
  ['no ranges', 'last byte', ['whole', 2, 2 * L - 1, 'stored'], ALWAYS_WORKS],
  // Such an answer's body goes out as far as the connection takes it.
  [
    'wrong Content-Range',
    'first byte',
    ['whole', 2, [L, 2 * L], 'stored'],
    [502, SOME, [0, 12 * L], 'nothing'],
  ],
  [
    'wrong Content-Range',
    'middle',
    ['whole', 3, [L, L + HALF + 1], 'stored'],
    ['broken', SOME, [HALF, 6 * L], { partial: HALF }],
  ],
  [
    'wrong Content-Range',
    'last byte',
    ['whole', 3, [L, L + 2], 'stored'],
    ['broken', SOME, [L - 1, L + 24], { partial: L - 1 }],
  ],
  [
    'gzip-encoded',
    'first byte',
    ['whole', 2, [L, 2 * L + KIB], 'stored'],
    [502, SOME, [0, 12 * L], 'nothing'],
  ],
  [
    'gzip-encoded',
    'middle',
    ['whole', 3, [L, L + HALF + KIB], 'stored'],
    ['broken', SOME, [HALF, 6 * L], { partial: HALF }],
  ],
  [
    'gzip-encoded',
    'last byte',
    ['whole', 3, [L, L + KIB], 'stored'],
    ['broken', SOME, [L - 1, L + KIB], { partial: L - 1 }],
  ],
  ['HTML with 200', 'first byte', ['whole', 2, L + PAGE, 'stored'], [502, 2, 2 * PAGE, 'nothing']],
  [
    'HTML with 200',
    'middle',
    ['whole', 3, [L, L + PAGE], 'stored'],
    ['broken', SOME, [HALF, HALF + 12 * PAGE], { partial: HALF }],
  ],
  [
    'HTML with 200',
    'last byte',
    ['whole', 3, [L, L + PAGE], 'stored'],
    ['broken', SOME, [L - 1, L + 12 * PAGE], { partial: L - 1 }],
  ],
];

/** Small content is proven before a byte or a head is shown: a client gets the right bytes, or is told why not. */
export const smallCells: readonly Cell[] = [
  ['reset', 'first byte', ['whole', 2, S, 'stored'], [503, SOME, 0, 'nothing']],
  ['reset', 'middle', ['whole', 2, S, 'stored'], [503, SOME, S / 2, 'nothing']],
  ['reset', 'last byte', ['whole', 2, S, 'stored'], [503, SOME, S - 1, 'nothing']],
  ['short', 'first byte', ['whole', 2, S, 'stored'], [503, SOME, 0, 'nothing']],
  ['short', 'middle', ['whole', 2, S, 'stored'], [503, SOME, S / 2, 'nothing']],
  ['short', 'last byte', ['whole', 2, S, 'stored'], [503, SOME, S - 1, 'nothing']],
  ['silent', 'first byte', ['whole', 2, S, 'stored'], [LATE, SOME, 0, 'nothing']],
  ['silent', 'middle', ['whole', 2, S, 'stored'], [LATE, SOME, S / 2, 'nothing']],
  ['silent', 'last byte', ['whole', 2, S, 'stored'], [LATE, SOME, S - 1, 'nothing']],
  ['corrupt', 'first byte', ['whole', 2, 2 * S, 'stored'], [502, 2, 2 * S, 'nothing']],
  ['corrupt', 'middle', ['whole', 2, 2 * S, 'stored'], [502, 2, 2 * S, 'nothing']],
  ['corrupt', 'last byte', ['whole', 2, 2 * S, 'stored'], [502, 2, 2 * S, 'nothing']],
  ['wrong length', 'first byte', ['whole', 2, S, 'stored'], [502, 2, 0, 'nothing']],
  ['wrong length', 'middle', ['whole', 2, 1.5 * S, 'stored'], [502, 2, S, 'nothing']],
  ['wrong length', 'last byte', ['whole', 2, 2 * S - 1, 'stored'], [502, 2, 2 * S - 2, 'nothing']],
  ['5xx', 'first byte', ['whole', 2, S, 'stored'], [502, SOME, 0, 'nothing']],
  ['5xx', 'middle', ['whole', 3, S, 'stored'], [502, SOME, S / 2, 'nothing']],
  ['5xx', 'last byte', ['whole', 3, S, 'stored'], [502, SOME, S - 1, 'nothing']],
  ['slow headers', 'first byte', ['whole', 2, S, 'stored'], [504, SOME, 0, 'nothing']],
  ['slow headers', 'middle', ['whole', 3, S, 'stored'], [LATE, SOME, S / 2, 'nothing']],
  ['slow headers', 'last byte', ['whole', 3, S, 'stored'], [LATE, SOME, S - 1, 'nothing']],
  ['expired URL', 'first byte', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'middle', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'last byte', NOT_SIGNED, NOT_SIGNED],
  ['no ranges', 'first byte', IS_NO_FAULT, IS_NO_FAULT],
  ['no ranges', 'middle', ['whole', 2, 1.5 * S, 'stored'], ALWAYS_WORKS],
  ['no ranges', 'last byte', ['whole', 2, 2 * S - 1, 'stored'], ALWAYS_WORKS],
  [
    'wrong Content-Range',
    'first byte',
    ['whole', 2, [S, 2 * S], 'stored'],
    [502, SOME, [0, 12 * S], 'nothing'],
  ],
  [
    'wrong Content-Range',
    'middle',
    ['whole', 3, [S, 1.5 * S + 1], 'stored'],
    [502, SOME, [S / 2, 7 * S], 'nothing'],
  ],
  [
    'wrong Content-Range',
    'last byte',
    ['whole', 3, [S, S + 2], 'stored'],
    [502, SOME, [S - 1, S + 24], 'nothing'],
  ],
  [
    'gzip-encoded',
    'first byte',
    ['whole', 2, [S, 2 * S + KIB], 'stored'],
    [502, SOME, [0, 13 * S], 'nothing'],
  ],
  [
    'gzip-encoded',
    'middle',
    ['whole', 3, [S, 1.5 * S + KIB], 'stored'],
    [502, SOME, [S / 2, 7 * S], 'nothing'],
  ],
  [
    'gzip-encoded',
    'last byte',
    ['whole', 3, [S, S + KIB], 'stored'],
    [502, SOME, [S - 1, S + KIB], 'nothing'],
  ],
  ['HTML with 200', 'first byte', ['whole', 2, S + PAGE, 'stored'], [502, 2, 2 * PAGE, 'nothing']],
  [
    'HTML with 200',
    'middle',
    ['whole', 3, [S, S + PAGE], 'stored'],
    [502, SOME, [S / 2, S / 2 + 12 * PAGE], 'nothing'],
  ],
  [
    'HTML with 200',
    'last byte',
    ['whole', 3, [S, S + PAGE], 'stored'],
    [502, SOME, [S - 1, S + 12 * PAGE], 'nothing'],
  ],
];

/** What a registry that serves blobs itself does not know: signed addresses that end. */
export const expiredCells: Readonly<Record<'large' | 'small', readonly Cell[]>> = {
  large: [
    ['expired URL', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
    ['expired URL', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
    ['expired URL', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ],
  small: [
    ['expired URL', 'first byte', ['whole', 2, S, 'stored'], [502, SOME, 0, 'nothing']],
    ['expired URL', 'middle', ['whole', 3, S, 'stored'], [502, SOME, S / 2, 'nothing']],
    ['expired URL', 'last byte', ['whole', 3, S, 'stored'], [502, SOME, S - 1, 'nothing']],
  ],
};
