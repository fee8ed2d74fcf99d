/** Owns how the last hour is shown: charts, and the same as a table. */
import { Chart } from './chart.ts';
import { CHARTS, HOUR_HEADINGS, hourRows } from './chart-specs.ts';
import { h, part, show } from './dom.ts';
import type { Minute } from './hour.ts';

export class HourView {
  readonly #charts: readonly Chart[];

  constructor() {
    this.#charts = CHARTS.map((spec) => new Chart(spec, part(`chart-${spec.id}`)));
    part('hour-table').tabIndex = 0; // it scrolls sideways where there is no room
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const chart of this.#charts) chart.redraw();
    });
  }

  show(minutes: readonly Minute[]): void {
    for (const chart of this.#charts) chart.show(minutes);
    const rows = hourRows(minutes).map(({ when, cells }) =>
      h(
        'tr',
        { key: when },
        h('th', { scope: 'row' }, when),
        ...cells.map((cell) => h('td', { class: 'number' }, cell)),
      ),
    );
    show(
      part('hour-table'),
      h(
        'table',
        {},
        h('caption', { class: 'hidden' }, 'The last hour in steps of five minutes'),
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ...HOUR_HEADINGS.map((title, i) => h('th', { scope: 'col', class: i > 0 && 'number' }, title)),
          ),
        ),
        h('tbody', {}, ...rows),
      ),
    );
  }
}
