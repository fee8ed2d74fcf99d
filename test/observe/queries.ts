/** Owns all that is asked of Prometheus by what is shipped: dashboards and rules, as it stands in their files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '../..');
export const RULES_FILE = join(ROOT, 'deploy/prometheus/hubcap.rules.yaml');
const DASHBOARDS = join(ROOT, 'grafana');

export interface Rule {
  record?: string;
  alert?: string;
  expr: string;
  for?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface Target {
  expr: string;
  instant: boolean;
  legendFormat: string;
  datasource: unknown;
}

export interface ShownPanel {
  id: number;
  type: string;
  title: string;
  description: string;
  datasource: unknown;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  fieldConfig?: { defaults: { unit?: string } };
  panels?: ShownPanel[];
}

export interface Dashboard {
  uid: string;
  schemaVersion: number;
  editable: boolean;
  panels: ShownPanel[];
  templating: { list: { name: string; type: string; query: unknown; refresh: number }[] };
  annotations: { list: { expr: string }[] };
}

export function readRules(): Rule[] {
  const { groups } = parse(readFileSync(RULES_FILE, 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

/** @returns each dashboard by the name of its file */
export function readDashboards(): Map<string, Dashboard> {
  const files = readdirSync(DASHBOARDS).filter((name) => name.endsWith('.json'));
  return new Map(
    files.map((name) => [name, JSON.parse(readFileSync(join(DASHBOARDS, name), 'utf8')) as Dashboard]),
  );
}

/** @returns panels that show something, also those inside rows */
export function panelsOf({ panels }: Pick<Dashboard, 'panels'>): ShownPanel[] {
  return panels.flatMap((panel) => [
    ...(panel.type === 'row' ? [] : [panel]),
    ...panelsOf({ panels: panel.panels ?? [] }),
  ]);
}

/** What is put in place of a dashboard's variables. */
export interface Choice {
  job: string;
  instance: string;
  upstream: string;
}

/**
 * As Grafana does. A value that stands in for what is not there (`or vector(0)`) is taken out: it would hide that
 * there is nothing.
 */
export function substitute(expr: string, choice: Choice): string {
  const values: Record<string, string> = {
    ...choice,
    __rate_interval: '10s',
    __range: '1m',
    __interval: '1s',
  };
  return expr
    .replace(/\s+or vector\(0\)/g, '')
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced?: string, plain?: string) => {
      const value = values[braced ?? plain ?? ''];
      if (value === undefined) throw new Error(`nothing is known of ${text}`);
      return value;
    });
}

/**
 * An alert's expression that has a result exactly where all of its parts have data whose labels agree, whether it
 * would fire or not: comparisons only tell (`bool`) instead of filtering, what is combined by `or` and `unless` must
 * be there on both sides (`and`), `absent(x)` is x, and yesterday (`offset`) is today: a Prometheus that has run for a
 * minute has no yesterday.
 */
export function withoutThresholds(expr: string): string {
  return tokensOf(expr)
    .map((token) => {
      if (/^(?:==|!=|<=|>=|<|>)$/.test(token)) return `${token} bool`;
      if (token === 'or' || token === 'unless') return 'and';
      return token === 'absent' ? '' : token;
    })
    .join(' ')
    .replace(/\boffset\s+\w+/g, '');
}

/** Texts, selectors in braces and ranges are one token each: what stands in them is no operator. */
function tokensOf(expr: string): string[] {
  return (
    expr.match(/"(?:[^"\\]|\\.)*"|\{(?:"(?:[^"\\]|\\.)*"|[^}"])*\}|\[[^\]]*\]|==|!=|<=|>=|<|>|[\w:.]+|\S/g) ??
    []
  );
}
