/** Owns the list of all metrics for people, made from the metrics themselves. `node test/observe/metrics-document.ts` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { watchGauges, watchPullCounts, watchRests, watchSchedules } from '../../src/gauges.ts';
import { Metrics } from '../../src/metrics.ts';

export const METRICS_PAGE = join(import.meta.dirname, '../../docs/metrics.md');

const INTRODUCTION = `# Metrics

Everything that \`/metrics\` on the admin listener tells, as text or, where \`Accept\` prefers it, as OpenMetrics: the same series in
both. No repository, tag, digest or client is a label; \`upstream\` is a configured host, \`account\` a user name of the
configuration (at a mirror with its host), \`list\` the path of a list in \`prewarm\`. How many series there are does not depend on what is stored. What
can happen is counted from 0; an upstream, account or list that is taken out of the configuration takes its series with it.

Of the requests for \`kind\` manifest and blob, the hit rate is (hit + coalesced + revalidated + stale) / (these + miss + bypass).
`;

/** @returns names of samples as they stand in the page */
export function documentedNames(): string[] {
  return [...readFileSync(METRICS_PAGE, 'utf8').matchAll(/^\| `([a-z_0-9]+)` \|/gm)].map(
    ([, name = '']) => name,
  );
}

/** @returns the page */
export async function metricsPage(): Promise<string> {
  const own = await tableOf(allMetrics(), (name) => name.startsWith('hubcap_'));
  const others = await tableOf(allMetrics(), (name) => !name.startsWith('hubcap_'));
  return `${INTRODUCTION}\n## hubcap\n\n${own}\n## The process\n\n${others}`;
}

/** A registry with all that a running hubcap has in it. */
export function allMetrics(): Registry {
  const { registry } = new Metrics('0.0.0');
  const none = (): number => 0;
  const no = (): boolean => false;
  watchGauges(registry, {
    ...{
      storeBytes: none,
      storeMaxBytes: none,
      storeReservedBytes: none,
      storeObjects: none,
      pinnedBytes: none,
    },
    ...{ pins: none, storeWritable: no, offline: no, missesListed: none },
    ...{ fillsInFlight: none, fillReaders: none, fillIdleS: none },
  });
  watchRests(registry, () => []);
  watchPullCounts(registry, () => []);
  watchSchedules(registry, () => []);
  return registry;
}

async function tableOf(registry: Registry, isIn: (name: string) => boolean): Promise<string> {
  const metrics = registry.getMetricsAsArray().filter(({ name }) => isIn(name));
  const rows = metrics.map((metric) => {
    const { name, help } = metric;
    const labels = labelsOf(metric).map((label) => `\`${label}\``);
    return `| \`${name}\` | ${typeOf(metric)} | ${labels.join(', ') || '-'} | ${help.replaceAll('|', '\\|')} |`;
  });
  return `${['| name | type | labels | meaning |', '|---|---|---|---|', ...rows.sort()].join('\n')}\n`;
}

/** What a metric was made with; the library's types do not tell. */
function labelsOf(metric: object): string[] {
  return 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [];
}

function typeOf(metric: object): string {
  return 'type' in metric ? String(metric.type) : '';
}

if (import.meta.main) writeFileSync(METRICS_PAGE, await metricsPage());
