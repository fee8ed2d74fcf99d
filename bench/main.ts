/** Runs the benchmarks: `npm run build && npm run bench`. See README.md. */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import yargs from 'yargs';
import { findProgram } from '../test/helpers/engines/needs.ts';
import { describeMachine } from './machine.ts';
import { behaviourTable, checkTable, measurementTable } from './report.ts';
import type { Findings, Scenario } from './scenario.ts';
import { blob } from './scenarios/blob.ts';
import { breaks } from './scenarios/breaks.ts';
import { bundles } from './scenarios/bundles.ts';
import { coldPull } from './scenarios/cold-pull.ts';
import { coldReaders } from './scenarios/cold-readers.ts';
import { crawling } from './scenarios/crawling.ts';
import { farRange } from './scenarios/far-range.ts';
import { killed } from './scenarios/kills.ts';
import { manifests } from './scenarios/manifests.ts';
import { page } from './scenarios/page.ts';
import { peers } from './scenarios/peers.ts';
import { prewarm } from './scenarios/prewarm.ts';
import { pullCounts } from './scenarios/pull-counts.ts';
import { scrape } from './scenarios/scrape.ts';
import { soak } from './scenarios/soak.ts';
import { start } from './scenarios/start.ts';
import { trouble } from './scenarios/trouble.ts';
import { isBuilt } from './servers/hubcap.ts';
import { Teardown } from './teardown.ts';

const scenarios: readonly Scenario[] = [
  manifests,
  blob,
  coldReaders,
  coldPull,
  pullCounts,
  start,
  breaks,
  killed,
  farRange,
  crawling,
  trouble,
  prewarm,
  bundles,
  scrape,
  page,
  peers,
  soak,
];

interface Options {
  only: string[] | undefined;
  quick: boolean;
  json: string | undefined;
}

/** What a run adds up to. */
interface Report extends Required<Findings> {
  machine: string;
  startedAt: string;
  /** over the minute before the start, and over the last one: what else ran shows in the first */
  loadAverages: [number, number];
  isQuick: boolean;
  /** scenarios that were left out, with the programs that are missing */
  skipped: { scenario: string; missing: string[] }[];
}

process.exitCode = await main(readOptions());

async function main({ only, quick: isQuick, json }: Options): Promise<number> {
  if (!isBuilt()) {
    say('there is no build of what is in src/: run `npm run build` first');
    return 2;
  }
  const startedAt = new Date().toISOString();
  const report: Report = {
    machine: describeMachine(),
    startedAt,
    loadAverages: [loadAverage(), 0],
    isQuick,
    skipped: [],
    measurements: [],
    checks: [],
    behaviours: [],
    notes: [],
  };
  for (const scenario of scenarios.filter(({ name }) => only?.includes(name) ?? true)) {
    const missing = scenario.needs.filter((program) => findProgram(program) === undefined);
    if (missing.length > 0) {
      report.skipped.push({ scenario: scenario.name, missing });
      continue;
    }
    const { measurements, checks, behaviours = [], notes = [] } = await runScenario(scenario, isQuick);
    report.measurements.push(...measurements);
    report.checks.push(...checks);
    report.behaviours.push(...behaviours);
    report.notes.push(...notes);
  }
  report.loadAverages[1] = loadAverage();
  print(report);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  return report.checks.every(({ passed }) => passed) ? 0 : 1;
}

/** Whatever becomes of it, nothing that it started outlives it. */
async function runScenario(scenario: Scenario, isQuick: boolean): Promise<Findings> {
  say(`${scenario.name}: ${scenario.describe}`);
  const teardown = new Teardown();
  const interrupt = async (signal: NodeJS.Signals): Promise<void> => {
    await teardown.run().catch(() => undefined); // the run is over, with or without what fails here
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await scenario.run({ teardown, isQuick, say: (text) => say(`  ${text}`) });
  } finally {
    await teardown.run();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function print({ machine, startedAt, loadAverages, isQuick, skipped, ...found }: Report): void {
  const lines = [
    `${machine}; ${startedAt.slice(0, 10)}; load average ${loadAverages.join(' before, ')} at the end${isQuick ? '; quick: figures not to be quoted' : ''}`,
    measurementTable(found.measurements),
    ...(found.behaviours.length > 0 ? [behaviourTable(found.behaviours)] : []),
    ...(found.checks.length > 0 ? [checkTable(found.checks)] : []),
    ...found.notes,
    ...skipped.map(({ scenario, missing }) => `${scenario} was left out: needs ${missing.join(', ')}`),
  ];
  process.stdout.write(`\n${lines.join('\n\n')}\n`);
}

function loadAverage(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function readOptions(): Options {
  return yargs(process.argv.slice(2))
    .scriptName('bench')
    .usage('Measures hubcap beside docker-registry and nginx.')
    .option('only', {
      type: 'string',
      array: true,
      choices: scenarios.map(({ name }) => name),
      describe: 'the scenarios to run (default: all)',
    })
    .option('quick', { type: 'boolean', default: false, describe: 'fewer and shorter rounds' })
    .option('json', { type: 'string', requiresArg: true, describe: 'write all figures to this file' })
    .strict()
    .version(false)
    .help()
    .parseSync();
}
