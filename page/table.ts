/** Owns tables that are read on a phone as well: there each row is a card, and each cell says what it is. */
import { h } from './dom.ts';

export interface Column {
  title: string;
  /** beside the text of a cell: `number`, `grow` */
  class?: string;
  /** the column can be sorted by this, and is where `is` says so */
  sort?: { by: string; is: 'ascending' | 'descending' | undefined };
}

export interface Row {
  key: string;
  cells: readonly (string | Node | (string | Node | undefined)[])[];
}

/** Roles are said: as cards, browsers would no longer take it for a table. The first cell heads its row. */
export function table(caption: string, columns: readonly Column[], rows: readonly Row[]): HTMLElement {
  return h(
    'table',
    { role: 'table', class: 'cards' },
    h('caption', { class: 'hidden' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...columns.map(heading))),
    h(
      'tbody',
      { role: 'rowgroup' },
      ...rows.map(({ key, cells }) =>
        h('tr', { role: 'row', key }, ...cells.map((cell, i) => body(cell, columns[i], i === 0))),
      ),
    ),
  );
}

function heading({ title, sort, ...column }: Column): HTMLElement {
  const attributes = { role: 'columnheader', scope: 'col', class: column.class, 'aria-sort': sort?.is };
  if (!sort) return h('th', attributes, title);
  const arrow = sort.is === undefined ? '↕' : sort.is === 'ascending' ? '↑' : '↓';
  const button = h(
    'button',
    { type: 'button', class: 'sort', 'data-action': 'sort', 'data-value': sort.by },
    title,
    h('span', { 'aria-hidden': 'true' }, ` ${arrow}`),
  );
  return h('th', attributes, button);
}

function body(cell: Row['cells'][number], column: Column | undefined, isFirst: boolean): HTMLElement {
  const children = Array.isArray(cell) ? cell : [cell];
  const attributes = { class: column?.class, 'data-title': column?.title };
  if (isFirst) return h('th', { role: 'rowheader', scope: 'row', ...attributes }, ...children);
  return h('td', { role: 'cell', ...attributes }, ...children);
}
