/** Owns the tables that a run ends with, in Markdown so that they can be quoted. */
import { type Behaviour, type Check, contestants, type Measurement } from './scenario.ts';
import { format, median, spread } from './statistics.ts';

/** One row per measure, one column per contestant; medians, with the spread where the rounds lie far apart. */
export function measurementTable(measurements: readonly Measurement[]): string {
  const columns = contestants.filter((name) => measurements.some(({ contestant }) => contestant === name));
  const rows = Map.groupBy(measurements, ({ name, unit }) => `${name}: ${unit}`);
  const lines = [...rows].map(([row, cells]) => [
    row,
    ...columns.map((name) => cell(cells.find(({ contestant }) => contestant === name))),
  ]);
  return table(['measure', ...columns], lines);
}

/** One row per behaviour, one column per contestant. */
export function behaviourTable(behaviours: readonly Behaviour[]): string {
  const columns = contestants.filter((name) => behaviours.some(({ contestant }) => contestant === name));
  const rows = Map.groupBy(behaviours, ({ name }) => name);
  const lines = [...rows].map(([row, cells]) => [
    row,
    ...columns.map((name) => cells.find(({ contestant }) => contestant === name)?.found ?? '–'),
  ]);
  return table(['behaviour', ...columns], lines);
}

/** One row per target. */
export function checkTable(checks: readonly Check[]): string {
  const lines = checks.map(({ name, target, found, passed }) => [
    name,
    target,
    found,
    passed ? 'pass' : 'FAIL',
  ]);
  return table(['requirement', 'must reach', 'found', ''], lines);
}

const NOTABLE_SPREAD = 0.1;

function cell(measurement: Measurement | undefined): string {
  if (!measurement) return '–';
  const { rounds } = measurement;
  const far = spread(rounds);
  const suffix = far > NOTABLE_SPREAD ? ` (±${Math.round(far * 50)} %)` : '';
  return `${format(median(rounds))}${suffix}`;
}

function table(head: readonly string[], lines: readonly string[][]): string {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...lines].map((line) => (line[i] ?? '').length)));
  const row = (cells: readonly string[]): string =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [row(head), rule, ...lines.map(row)].join('\n');
}
