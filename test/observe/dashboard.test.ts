import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dashboardFile } from '../../grafana/dashboard.ts';
import { panelsOf, readDashboards } from './queries.ts';

const PANEL_TYPES = ['timeseries', 'stat', 'gauge', 'heatmap', 'table', 'state-timeline'];

t.test('the dashboard is what its source writes', async (t) => {
  const file = join(import.meta.dirname, '../../grafana/hubcap.json');
  t.equal(readFileSync(file, 'utf8'), dashboardFile(), 'node grafana/write.ts writes it');
});

for (const [file, dashboard] of readDashboards()) {
  const panels = panelsOf(dashboard);

  t.test(`${file} can be provisioned as it is`, async (t) => {
    t.match(dashboard, { uid: /^[a-z-]+$/, editable: false });
    t.ok(dashboard.schemaVersion >= 38, 'of Grafana 10 or newer');
    for (const key of ['id', '__inputs', '__requires']) t.notOk(Object.hasOwn(dashboard, key), key);
    t.same(
      dashboard.templating.list.map(({ name }) => name),
      ['datasource', 'job', 'instance', 'upstream'],
    );
    for (const { type, refresh } of dashboard.templating.list)
      if (type === 'query') t.equal(refresh, 2, 'choices are read again when the time changes');
  });

  t.test(`${file}: each panel says what it shows, in units, of what is chosen`, async (t) => {
    t.ok(panels.length > 35);
    t.equal(new Set(panels.map(({ title }) => title)).size, panels.length, 'titles are unique');
    for (const { title, type, description, fieldConfig, targets = [], datasource } of panels) {
      t.ok(PANEL_TYPES.includes(type), `${title}: ${type} is no panel of the past`);
      t.match(description, /^\S.{20,}\.$/s, `${title}: a description`);
      t.ok(fieldConfig?.defaults.unit, `${title}: a unit`);
      t.same(datasource, { type: 'prometheus', uid: '$datasource' });
      t.ok(targets.length > 0);
      for (const { expr, legendFormat } of targets) {
        t.ok(legendFormat, `${title}: a legend`);
        const selectors = [...expr.matchAll(/(?:hubcap|nodejs|process)_\w+(\{[^}]*\})?/g)];
        t.ok(selectors.length > 0, title);
        for (const [text, selector = ''] of selectors)
          t.match(selector, 'job=~"$job", instance=~"$instance"', `${title}: ${text}`);
        for (const [, range] of expr.matchAll(/\b(?:rate|increase)\([^[]*\[([^\]]+)\]/g))
          t.match(range, /^\$__(?:rate_interval|range)$/, title);
      }
    }
  });

  t.test(`${file}: panels lie side by side, each in its row`, async (t) => {
    const ids = [...panels, ...dashboard.panels.filter(({ type }) => type === 'row')].map(({ id }) => id);
    t.equal(new Set(ids).size, ids.length);
    const taken = new Set<string>();
    for (const {
      title,
      gridPos: { x, y, w, h },
    } of dashboard.panels) {
      t.ok(x >= 0 && x + w <= 24, title);
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          const cell = `${column},${line}`;
          if (taken.has(cell)) t.fail(`${title} lies on another panel at ${cell}`);
          taken.add(cell);
        }
      }
    }
  });
}
