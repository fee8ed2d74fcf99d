import t from 'tap';
import { runBlobCell } from './blob-cells.ts';
import { large, largeCells, small, smallCells } from './blob-table.ts';
import { runCells } from './cells.ts';

t.test('a registry that serves blobs itself: large content', async (t) => {
  runCells(t, largeCells, (t, cell) => runBlobCell(t, {}, large, cell));
});

t.test('a registry that serves blobs itself: small content', async (t) => {
  runCells(t, smallCells, (t, cell) => runBlobCell(t, {}, small, cell));
});
