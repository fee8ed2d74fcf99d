/** Owns how metrics are written: Prometheus' text format or OpenMetrics, as the client asks (RFC 9110, "Accept"). */
import type { MetricObjectWithValues, MetricValue, MetricValueWithName, Registry } from 'prom-client';

export type Format = 'text' | 'openmetrics';

type Family = MetricObjectWithValues<MetricValue<string>>;

const CONTENT_TYPES: Record<Format, string> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};
/** What stands behind a format's media type in `Accept`, where anything does. */
const VERSIONS: Record<Format, string> = { text: '0.0.4', openmetrics: '1.0.0' };
const UNITS = ['seconds', 'bytes'];

/**
 * Which format a client gets.
 * @param accept as Prometheus sends it: ranges with parameters and weights
 * @returns `text` where both are as welcome, or none is
 */
export function chooseFormat(accept: string | undefined): Format {
  if (accept === undefined) return 'text';
  const ranges = accept.split(',').map(parseRange);
  return weightOf('openmetrics', ranges) > weightOf('text', ranges) ? 'openmetrics' : 'text';
}

/**
 * Reads all metrics and writes them. Both formats have the same series: labels and values are the same text.
 * @returns the page with its content type
 */
export async function expose(registry: Registry, format: Format): Promise<{ type: string; body: string }> {
  const families = (await registry.getMetricsAsJSON()) as Family[];
  const lines = families.flatMap((family) => [
    ...headOf(family, format),
    ...family.values.map(sampleOf(family)),
  ]);
  if (format === 'openmetrics') lines.push('# EOF');
  return { type: CONTENT_TYPES[format], body: `${lines.join('\n')}\n` };
}

interface Range {
  type: string;
  version: string | undefined;
  weight: number;
}

function parseRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const values = new Map(
    parameters.map((parameter) => {
      const [name = '', value = ''] = parameter.split('=', 2);
      return [name.trim(), value.trim().replace(/^"(.*)"$/, '$1')];
    }),
  );
  const weight = Number(values.get('q') ?? 1);
  return { type, version: values.get('version'), weight: weight >= 0 && weight <= 1 ? weight : 0 };
}

/** The most precise range that covers a format says how welcome it is. */
function weightOf(format: Format, ranges: readonly Range[]): number {
  const [type = ''] = CONTENT_TYPES[format].split(';');
  let best = { precision: -1, weight: 0 };
  for (const range of ranges) {
    const precision = precisionOf(range, type, VERSIONS[format]);
    if (precision === undefined) continue;
    const isBetter =
      precision > best.precision || (precision === best.precision && range.weight > best.weight);
    if (isBetter) best = { precision, weight: range.weight };
  }
  return best.weight;
}

function precisionOf({ type, version }: Range, wanted: string, its: string): number | undefined {
  if (type === '*/*') return 0;
  if (type === `${wanted.split('/')[0]}/*`) return 1;
  if (type !== wanted) return undefined;
  if (version === undefined) return 2;
  return version === its ? 3 : undefined;
}

function headOf({ name, help, type }: Family, format: Format): string[] {
  if (format === 'text') return [`# HELP ${name} ${escapeLine(help)}`, `# TYPE ${name} ${type}`];
  const family = String(type) === 'counter' ? name.replace(/_total$/, '') : name;
  const unit = UNITS.find((one) => family.endsWith(`_${one}`));
  return [
    `# TYPE ${family} ${type}`,
    ...(unit === undefined ? [] : [`# UNIT ${family} ${unit}`]),
    `# HELP ${family} ${escapeText(help)}`,
  ];
}

function sampleOf({ name }: Family): (sample: MetricValue<string>) => string {
  return (sample) => {
    const { metricName = name } = sample as MetricValueWithName<string>;
    const labels = Object.entries(sample.labels).map(([key, value]) => `${key}="${labelText(key, value)}"`);
    const all = labels.length === 0 ? '' : `{${labels.join(',')}}`;
    return `${metricName}${all} ${numberText(sample.value)}`;
  };
}

/** OpenMetrics wants a float for a bound; in both formats it is the same series. */
function labelText(key: string, value: string | number | undefined): string {
  if (key === 'le' && typeof value === 'number') return Number.isInteger(value) ? `${value}.0` : `${value}`;
  return escapeText(String(value ?? ''));
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Inf' : '+Inf';
}

function escapeLine(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeText(text: string): string {
  return escapeLine(text).replaceAll('"', '\\"');
}
