import t from 'tap';
import { needs } from '../helpers/engines/needs.ts';
import { JOB, type Series, startPrometheus } from '../helpers/engines/prometheus.ts';
import { startBusyHubcaps } from '../observe/busy-hubcap.ts';
import {
  type Choice,
  panelsOf,
  RULES_FILE,
  readDashboards,
  readRules,
  substitute,
  withoutThresholds,
} from '../observe/queries.ts';

/** Rates need two scrapes, medians of what was evicted need evictions, a pace of pulls some seconds of pulling. */
const DEADLINE_MS = 90_000;

interface Asked {
  where: string;
  expr: string;
  isInstant: boolean;
}

/** Something was measured: what is not a number is none. */
function hasData(series: readonly Series[]): boolean {
  return series.some(({ values }) => values.some((value) => !Number.isNaN(value)));
}

function everythingAsked(choice: Choice): Asked[] {
  const ofPanels = [...readDashboards()].flatMap(([file, dashboard]) => [
    ...panelsOf(dashboard).flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, instant }) => ({ where: `${file}, ${title}`, expr, isInstant: instant })),
    ),
    ...dashboard.annotations.list.map(({ expr }) => ({
      where: `${file}, annotation`,
      expr,
      isInstant: false,
    })),
  ]);
  const ofRules = readRules().flatMap(({ record, alert = record, expr }) => [
    ...(record === undefined ? [] : [{ where: `rule ${record}`, expr, isInstant: true }]),
    ...(record === undefined ? [] : [{ where: `recorded ${record}`, expr: record, isInstant: true }]),
    ...(record !== undefined
      ? []
      : [{ where: `alert ${alert}`, expr: withoutThresholds(expr), isInstant: true }]),
  ]);
  return [...ofPanels, ...ofRules].map((asked) => ({ ...asked, expr: substitute(asked.expr, choice) }));
}

t.test('every query of dashboards and rules has data where a hubcap is at work', async (t) => {
  if (!needs(t, 'prometheus')) return;
  const { mirrors, goOn } = await startBusyHubcaps(t);
  const targets = mirrors.map(({ admin }) => admin);
  const prometheus = await startPrometheus(t, { targets, ruleFiles: [RULES_FILE] });
  const instances = targets.map((target) => new URL(target).host);
  const choice = { job: JOB, instance: instances.join('|'), upstream: '.+' };
  const asked = everythingAsked(choice);
  t.ok(asked.length > 100, `${asked.length} queries were found`);
  let waiting = asked;
  const deadline = performance.now() + DEADLINE_MS;
  while (waiting.length > 0 && performance.now() < deadline) {
    await goOn();
    const without: Asked[] = [];
    for (const one of waiting) {
      const { expr, isInstant } = one;
      // An error fails the test at once: more data does not mend a query.
      const series = await (isInstant ? prometheus.query(expr) : prometheus.queryRange(expr, 30));
      if (!hasData(series)) without.push(one);
    }
    waiting = without;
  }
  t.same(waiting, [], 'each has returned data');
  t.comment(`queries that return data: ${asked.length - waiting.length} of ${asked.length}`);
  t.same(await prometheus.scrapeErrors(), ['', '']);
  t.same(
    (await prometheus.rules()).filter(({ health }) => health !== 'ok'),
    [],
    'every rule could be evaluated',
  );
  await t.test('it is scraped as OpenMetrics', async (t) => {
    t.match(await prometheus.metadataOf('hubcap_requests'), { type: 'counter' });
    t.match(await prometheus.metadataOf('hubcap_store_bytes'), { type: 'gauge', unit: 'bytes' });
    t.equal(await prometheus.metadataOf('hubcap_requests_total'), undefined);
  });
  await t.test('what a dashboard lets choose is there', async (t) => {
    t.same(await prometheus.labelValues('job', 'hubcap_build_info'), [JOB]);
    t.same((await prometheus.labelValues('instance', 'hubcap_build_info')).sort(), [...instances].sort());
    t.ok((await prometheus.labelValues('upstream', 'hubcap_upstream_up')).includes('metered.test'));
  });
  await t.test('a query without data is found out', async (t) => {
    t.notOk(hasData(await prometheus.query('hubcap_no_such_metric')));
    t.notOk(hasData(await prometheus.query('0 / (hubcap_offline * 0)')), 'what is not a number');
    await t.rejects(prometheus.query('rate(hubcap_requests_total)'), /expected type range vector/);
  });
});
