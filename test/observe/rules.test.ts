import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { Metrics } from '../../src/metrics.ts';
import { needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';
import { documentedNames } from './metrics-document.ts';
import { panelsOf, RULES_FILE, type Rule, readDashboards, readRules, withoutThresholds } from './queries.ts';

const ROOT = join(import.meta.dirname, '../..');
const TESTS_FILES = ['hubcap.rules.test.yaml', 'hubcap.rules.hours.test.yaml'].map((name) =>
  join(dirname(RULES_FILE), name),
);
const alerts = readRules().filter(({ alert }) => alert !== undefined);

/** Runs the tests of the alerts against rules that were changed. @returns what it printed where they fail */
async function testChanged(t: Test, change: (rule: Rule) => Rule): Promise<string | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'hubcap-rules-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const document = parse(readFileSync(RULES_FILE, 'utf8')) as { groups: { rules: Rule[] }[] };
  for (const group of document.groups) group.rules = group.rules.map(change);
  writeFileSync(join(directory, 'hubcap.rules.yaml'), stringify(document));
  const copies = TESTS_FILES.map((file) => join(directory, basename(file)));
  for (const [index, file] of TESTS_FILES.entries()) copyFileSync(file, copies[index] ?? '');
  const { code, stdout, stderr } = await runProgram(t, 'promtool', ['test', 'rules', ...copies]);
  return code === 0 ? undefined : stdout + stderr;
}

t.test('the rules are valid, and each alert fires when it should and only then', async (t) => {
  if (!needs(t, 'promtool')) return;
  const checked = await runProgram(t, 'promtool', ['check', 'rules', '--lint-fatal', RULES_FILE]);
  t.equal(checked.code, 0, checked.stdout + checked.stderr);
  const tested = await runProgram(t, 'promtool', ['test', 'rules', ...TESTS_FILES]);
  t.equal(tested.code, 0, tested.stdout + tested.stderr);
});

t.test('an alert that never fires, or always, is found out by its test', async (t) => {
  if (!needs(t, 'promtool')) return;
  // Nothing is recorded either: most of the time that the tests take goes there.
  const never = await testChanged(t, (rule) => ({ ...rule, expr: 'vector(0) > 1' }));
  // Wherever there is what it is about: also in every near miss.
  const always = await testChanged(t, (rule) => {
    const [subject = 'up'] = /\b(?:job_\w+:)?(?:hubcap|nodejs)_[\w:]+/.exec(rule.expr) ?? [];
    const expr = `count by (job, instance) (${subject}) or on () vector(1)`;
    return rule.alert ? { ...rule, expr, for: '0s' } : rule;
  });
  for (const { alert } of alerts) {
    t.match(never, `alertname="${alert}"`, `${alert}, never`);
    t.match(always, `alertname="${alert}"`, `${alert}, always`);
  }
});

t.test('each alert says how bad it is, what to do, and where to read on', async (t) => {
  const runbook = readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8');
  const sections = new Map(
    runbook
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split('\n', 1)[0] ?? '', section]),
  );
  t.same(
    [...sections.keys()].sort(),
    alerts.map(({ alert }) => alert).sort(),
    'one section each, and no other',
  );
  for (const { alert = '', labels, annotations = {}, for: lasting } of alerts) {
    t.match(labels?.severity, /^(?:critical|warning)$/, alert);
    t.match(lasting, /^\d+[mh]$/);
    t.ok((annotations.summary ?? '').length > 10);
    t.ok((annotations.description ?? '').length > 60);
    t.equal(annotations.runbook_url, `docs/runbook.md#${alert.toLowerCase()}`);
    const section = sections.get(alert) ?? '';
    for (const part of ['Meaning', 'Users notice', 'Find out', 'Do'])
      t.match(section, new RegExp(`\\*\\*(?:Find out and do|${part})\\.\\*\\*`), `${alert}: ${part}`);
  }
  for (const [, anchor] of runbook.matchAll(/\(#(\w+)\)/g))
    t.ok(
      alerts.some(({ alert }) => alert?.toLowerCase() === anchor),
      `#${anchor} is there`,
    );
});

t.test('only metrics that there are, are asked for', async (t) => {
  const { registry } = new Metrics('1');
  const known = new Set([
    ...documentedNames(),
    ...(await registry.getMetricsAsJSON()).flatMap(({ name, type }) =>
      String(type) === 'histogram' ? ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`) : [name],
    ),
    ...readRules().flatMap(({ record }) => record ?? []),
    'up',
  ]);
  const exprs = [
    ...readRules().map(({ expr }) => expr),
    ...[...readDashboards().values()].flatMap((dashboard) =>
      panelsOf(dashboard).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ),
  ];
  for (const expr of exprs) {
    for (const [name] of expr.matchAll(/\b(?:hubcap|nodejs|process)_\w+|\bjob_instance\w*:[\w:]+/g)) {
      if (name !== 'job_instance') t.ok(known.has(name), name);
    }
  }
});

t.test('thresholds are taken out of expressions, and nothing else', async (t) => {
  const cases: [expr: string, is: string][] = [
    ['up == 0', 'up == bool 0'],
    ['absent(up{a=">", b=~"x or y"})', '( up {a=">", b=~"x or y"} )'],
    ['a > 1 and on (i) b', 'a > bool 1 and on ( i ) b'],
    ['a <= 2 unless on (i) c == 1', 'a <= bool 2 and on ( i ) c == bool 1'],
    ['x[5m] or y offset 1h', 'x [5m] and y '],
  ];
  for (const [expr, is] of cases) t.equal(withoutThresholds(expr).trim(), is.trim());
});
