import t from 'tap';
import { runBlobCell } from './blob-cells.ts';
import { expiredCells, large, largeCells, small, smallCells } from './blob-table.ts';
import { type Cell, runCells } from './cells.ts';

const signed = (cells: readonly Cell[], expired: readonly Cell[]): Cell[] => [
  ...cells.filter(([fault]) => fault !== 'expired URL'),
  ...expired,
];

t.test('a CDN that a registry redirects to: large content', async (t) => {
  runCells(t, signed(largeCells, expiredCells.large), (t, cell) =>
    runBlobCell(t, { hasCdn: true }, large, cell),
  );
});

t.test('a CDN that a registry redirects to: small content', async (t) => {
  runCells(t, signed(smallCells, expiredCells.small), (t, cell) =>
    runBlobCell(t, { hasCdn: true }, small, cell),
  );
});
