import t from 'tap';
import { MIB } from '../../helpers/content.ts';
import type { Place } from '../../helpers/faults.ts';
import { runBlobCell } from './blob-cells.ts';
import { large, largeCells } from './blob-table.ts';
import { type Bound, type Cell, type Outcome, runCells } from './cells.ts';
import { HELD_BACK_BYTES } from './topology.ts';

const L = 3 * MIB;
const HALF = 1.5 * MIB;
const PAGE = 39; // bytes of HTML
const SOME_LOSS = 12 * HELD_BACK_BYTES; // some each time that a connection ends
/** Wrong content is tried once more only while somebody can still be given it. */
const WRONG: Bound = [1, 2];

/** Where content that is larger than the budget fares otherwise than content that is kept. */
const otherwise: Readonly<Record<string, readonly [once: Outcome, always: Outcome]>> = {
  'corrupt, first byte': [
    ['broken', WRONG, [L, 2 * L], 'nothing'],
    ['broken', WRONG, [L, 2 * L], 'nothing'],
  ],
  'corrupt, middle': [
    ['broken', WRONG, [L, 2 * L], 'nothing'],
    ['broken', WRONG, [L, 2 * L], 'nothing'],
  ],
  'corrupt, last byte': [
    ['broken', WRONG, [L, 2 * L], 'nothing'],
    ['broken', WRONG, [L, 2 * L], 'nothing'],
  ],
  // What claims to be small is not past the store at first: its second attempt does not fit, and is asked for anew.
  'wrong length, first byte': [
    ['whole', [2, 3], [L, 2 * L], 'nothing'],
    [502, 2, 0, 'nothing'],
  ],
  'HTML with 200, first byte': [
    ['whole', [2, 3], [L, 2 * L + PAGE], 'nothing'],
    [502, 2, 2 * PAGE, 'nothing'],
  ],
  'wrong length, middle': [
    ['broken', WRONG, [HALF, HALF + L], 'nothing'],
    ['broken', WRONG, [HALF, L], 'nothing'],
  ],
  'wrong length, last byte': [
    ['broken', WRONG, [L - 1, 2 * L], 'nothing'],
    ['broken', WRONG, [L - 1, 2 * L], 'nothing'],
  ],
};

/** Nothing of it is ever on disk; all else is as for content that is kept. */
const cells = largeCells.map(([fault, place, once, always]): Cell => {
  const [otherOnce, otherAlways] = otherwise[`${fault}, ${place}`] ?? [once, always];
  return [fault, place, unkept(place, otherOnce), unkept(place, otherAlways)];
});

function unkept(place: Place, outcome: Outcome | string): Outcome | string {
  if (typeof outcome === 'string') return outcome;
  const [client, requests, bytes] = outcome;
  return [client, requests, place === 'last byte' ? withLoss(bytes) : bytes, 'nothing'];
}

/** Nobody sees the last bytes before they are proven: whether they had arrived when the connection ended is not known. */
function withLoss(bytes: Bound): Bound {
  const [from, to] = typeof bytes === 'number' ? [bytes, bytes] : bytes;
  return [from, to + SOME_LOSS];
}

t.test('content larger than the budget, past the store', async (t) => {
  runCells(t, cells, (t, cell) => runBlobCell(t, { maxBytes: MIB }, large, cell));
});
