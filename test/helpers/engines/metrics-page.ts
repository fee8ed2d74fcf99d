/** Owns the reading of a page in Prometheus' text format. */

export type Labels = Readonly<Record<string, string>>;

interface Sample {
  name: string;
  labels: Labels;
  value: number;
}

export interface MetricsPage {
  /** The sum over all samples of a metric that carry these labels; 0 where there are none. */
  sum(name: string, labels?: Labels): number;
}

const sampleLine = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)/;
const labelPair = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Reads a page; comments and what it does not understand are left out. */
export function parsePrometheus(page: string): MetricsPage {
  const samples = page.split('\n').flatMap(parseSample);
  return {
    sum: (name, labels = {}) =>
      samples
        .filter((sample) => sample.name === name && carries(sample.labels, labels))
        .reduce((total, sample) => total + sample.value, 0),
  };
}

function parseSample(line: string): Sample[] {
  const { name, labels, value } = sampleLine.exec(line)?.groups ?? {};
  if (name === undefined) return [];
  const pairs = (labels ?? '').matchAll(labelPair).map(([, key = '', text = '']) => [key, text]);
  return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
}

function carries(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
