/** Owns a real Prometheus that scrapes what a test runs, and what can be asked of it. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { request } from 'undici';
import { until } from '../waiting.ts';
import { makeDirectory } from './needs.ts';
import { startProgram } from './program.ts';
import { findQuietAddress } from './registry.ts';

export interface Series {
  labels: Readonly<Record<string, string>>;
  values: number[];
}

export interface RuleState {
  name: string;
  query: string;
  type: 'alerting' | 'recording';
  health: string;
  lastError?: string;
}

export interface Prometheus {
  url: string;
  /** The last values. @throws Error with what Prometheus says of the query */
  query(expr: string): Promise<Series[]>;
  /** The values of the last `seconds`, one per second. @throws Error as `query` does */
  queryRange(expr: string, seconds: number): Promise<Series[]>;
  labelValues(label: string, selector: string): Promise<string[]>;
  /** type and unit of a family, as its scrape named it; undefined where there is none of that name */
  metadataOf(family: string): Promise<{ type: string; unit: string } | undefined>;
  rules(): Promise<RuleState[]>;
  /** what was wrong with the last scrape of each target; empty strings where nothing was */
  scrapeErrors(): Promise<string[]>;
}

export interface PrometheusOptions {
  /** `http://HOST:PORT` of what is scraped */
  targets: readonly string[];
  ruleFiles: readonly string[];
}

export const JOB = 'hubcap';

/** Starts it with an empty store on an address of its own; everything happens every second. */
export async function startPrometheus(
  t: Test,
  { targets, ruleFiles }: PrometheusOptions,
): Promise<Prometheus> {
  const directory = await makeDirectory(t, 'prometheus');
  await mkdir(join(directory, 'data'));
  const configuration = join(directory, 'prometheus.yml');
  const hosts = targets.map((target) => new URL(target).host);
  // JSON is YAML.
  const document = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: [{ job_name: JOB, static_configs: [{ targets: hosts }] }],
  };
  await writeFile(configuration, JSON.stringify(document));
  const address = await findQuietAddress();
  const program = startProgram(t, 'prometheus', [
    `--config.file=${configuration}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${address}`,
  ]);
  t.teardown(() => {
    if (!t.passing()) t.comment(`Prometheus' log:\n${program.lines.slice(-40).join('\n')}`);
  });
  const url = `http://${address}`;
  await until('Prometheus is ready', () => isReady(url), 100);
  return clientOf(url);
}

async function isReady(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`${url}/-/ready`);
    await body.dump();
    return statusCode === 200;
  } catch {
    return false; // it does not listen yet
  }
}

function clientOf(url: string): Prometheus {
  const ask = async <T>(path: string, parameters: Record<string, string>): Promise<T> => {
    const { body } = await request(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = (await body.json()) as { status: string; data: T; error?: string };
    if (answer.status !== 'success') throw new Error(answer.error, { cause: parameters });
    return answer.data;
  };
  return {
    url,
    query: async (query) => toSeries(await ask<Result>('query', { query })),
    queryRange: async (query, seconds) => {
      const end = Date.now() / 1000;
      const range = { start: String(end - seconds), end: String(end), step: '1' };
      return toSeries(await ask<Result>('query_range', { query, ...range }));
    },
    labelValues: (label, selector) => ask(`label/${label}/values`, { 'match[]': selector }),
    metadataOf: async (metric) =>
      (await ask<{ type: string; unit: string }[]>('targets/metadata', { metric }))[0],
    rules: async () =>
      (await ask<{ groups: { rules: RuleState[] }[] }>('rules', {})).groups.flatMap(({ rules }) => rules),
    scrapeErrors: async () => {
      const { activeTargets } = await ask<{ activeTargets: { lastError: string }[] }>('targets', {});
      return activeTargets.map(({ lastError }) => lastError);
    },
  };
}

type Sample = [atS: number, value: string];

interface Result {
  resultType: 'vector' | 'matrix' | 'scalar' | 'string';
  result: Sample | { metric: Record<string, string>; value?: Sample; values?: Sample[] }[];
}

function toSeries({ resultType, result }: Result): Series[] {
  if (resultType === 'scalar' || resultType === 'string') {
    return [{ labels: {}, values: [Number(result[1])] }];
  }
  return (result as { metric: Record<string, string>; value?: Sample; values?: Sample[] }[]).map(
    ({ metric, value, values = value ? [value] : [] }) => ({
      labels: metric,
      values: values.map(([, text]) => (text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text))),
    }),
  );
}
