import t from 'tap';
import { MIB } from '../../helpers/content.ts';
import { type Bound, type Cell, runCells } from './cells.ts';
import { runTokenCell } from './token-cells.ts';

const L = 3 * MIB;
const HALF = 1.5 * MIB;
const SOME: Bound = [2, 12]; // token requests until it is given up

const NOT_SIGNED = 'the address of a token server is in its challenge and does not end';
const NOT_RESUMED = 'a token is asked for whole, and never gone on with';
const IS_DAMAGED =
  'a damaged token is no token, and hubcap cannot tell it from one that does not suffice: 403';

/**
 * Inside the answer for the faults of bodies; else while the blob's first byte, its middle or its last byte is asked
 * for. Columns: client, token requests, bytes of the blob, disk.
 */
const cells: readonly Cell[] = [
  ['reset', 'first byte', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['reset', 'middle', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['reset', 'last byte', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['short', 'first byte', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['short', 'middle', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['short', 'last byte', ['whole', 2, L, 'stored'], [503, SOME, 0, 'nothing']],
  ['silent', 'first byte', ['whole', 2, L, 'stored'], [504, SOME, 0, 'nothing']],
  ['silent', 'middle', ['whole', 2, L, 'stored'], [504, SOME, 0, 'nothing']],
  ['silent', 'last byte', ['whole', 2, L, 'stored'], [504, SOME, 0, 'nothing']],
  ['corrupt', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['corrupt', 'middle', IS_DAMAGED, [403, [1, 2], 0, 'nothing']],
  ['corrupt', 'last byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['wrong length', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['wrong length', 'middle', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['wrong length', 'last byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['5xx', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['5xx', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['5xx', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['slow headers', 'first byte', ['whole', 2, L, 'stored'], [504, SOME, 0, 'nothing']],
  ['slow headers', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['slow headers', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['expired URL', 'first byte', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'middle', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'last byte', NOT_SIGNED, NOT_SIGNED],
  ['no ranges', 'first byte', NOT_RESUMED, NOT_RESUMED],
  ['no ranges', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['no ranges', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['wrong Content-Range', 'first byte', NOT_RESUMED, NOT_RESUMED],
  ['wrong Content-Range', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['wrong Content-Range', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['gzip-encoded', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['gzip-encoded', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['gzip-encoded', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
  ['HTML with 200', 'first byte', ['whole', 2, L, 'stored'], [502, SOME, 0, 'nothing']],
  ['HTML with 200', 'middle', ['whole', 3, L, 'stored'], ['broken', SOME, HALF, { partial: HALF }]],
  ['HTML with 200', 'last byte', ['whole', 3, L, 'stored'], ['broken', SOME, L - 1, { partial: L - 1 }]],
];

t.test('a token server that the registry sends to', async (t) => {
  runCells(t, cells, runTokenCell);
});
