/** What carrying images costs: export and import of large bundles beside tar and sha256sum, and what a delta holds. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runHubcap } from '../clients/command.ts';
import { memoryOf } from '../cpu.ts';
import { writeLayout } from '../layout.ts';
import { runClient } from '../processes.ts';
import { type Check, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { format, median } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const mebibyte = 1024 * 1024;
const layers = 20;
const deadUpstream = 'http://127.0.0.1:9';
const name = 'docker.io/bench/large:1';

const exporting = 'export';
const importing = 'import';
const importingAlone = 'import without a daemon';
const speed = 'MiB/s';
const daemonPeak = 'MiB peak RSS of the daemon';
const commandPeak = 'MiB peak RSS of the command';

export const bundles: Scenario = {
  name: 'bundles',
  describe: 'export and import of large bundles, and deltas',
  needs: ['tar', 'sha256sum', 'sync'],
  async run(context) {
    const { teardown, isQuick, say } = context;
    const layerBytes = ((isQuick ? 200 : 2000) / layers) * mebibyte;
    const home = await teardown.directory('bundles');
    const layout = join(home, 'layout');
    const seeds = Array.from({ length: layers }, (_, n) => `layer ${n}`);
    await writeLayout(layout, name, seeds, layerBytes);
    const rig: Rig = { context, sheet: new Sheet(), home, layout, totalBytes: layers * layerBytes };
    const digests = new Set<string>();
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      digests.add(await measureRound(rig));
      say(`round ${round + 1}: ${describe(rig.sheet)}`);
    }
    const delta = await measureDelta(rig, seeds, layerBytes);
    return { measurements: rig.sheet.measurements, checks: checks(rig.sheet, digests, delta / layerBytes) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  home: string;
  layout: string;
  totalBytes: number;
}

/** @returns the checksum of the bundle */
async function measureRound(rig: Rig): Promise<string> {
  const { sheet, home, layout, totalBytes } = rig;
  const fresh = new Teardown();
  const note = (what: string, by: 'hubcap' | 'tar + sha256sum', seconds: number): void =>
    sheet.note(what, speed, by, totalBytes / mebibyte / seconds);
  try {
    const archive = join(home, 'plain.tar');
    const seconds = await settledSeconds(() => packAndSum(layout, archive));
    for (const what of [exporting, importing, importingAlone]) note(what, 'tar + sha256sum', seconds);
    const hubcap = await startHubcap(fresh, { upstreamUrl: deadUpstream, maxSize: '20GiB' });
    const of = ['--data', hubcap.dataDirectory];
    const imported = await settled(() => runHubcap(['import', archive, ...of]));
    note(importing, 'hubcap', imported.seconds);
    await rm(archive);
    const bundle = join(home, 'bundle.tar');
    const exported = await settled(() => runHubcap(['export', '--all', '--force', '-o', bundle, ...of]));
    note(exporting, 'hubcap', exported.seconds);
    const { peakBytes } = await memoryOf(hubcap.server.pid);
    sheet.note('bundles', daemonPeak, 'hubcap', peakBytes / mebibyte);
    const data = join(await fresh.directory('alone'), 'data');
    const alone = await settled(() => runHubcap(['import', bundle, '--data', data]));
    note(importingAlone, 'hubcap', alone.seconds);
    for (const run of [imported, exported, alone]) {
      sheet.note('bundles', commandPeak, 'hubcap', run.peakBytes / mebibyte);
    }
    return (await readFile(`${bundle}.sha256`, 'utf8')).slice(0, 64);
  } finally {
    await fresh.run();
  }
}

/** Both read all of it: what a person without hubcap does to carry files with a checksum. */
async function packAndSum(layout: string, archive: string): Promise<void> {
  await runClient('tar', ['-cf', archive, '-C', layout, '.']);
  await runClient('sha256sum', [archive]);
}

/** What was written before is on disk first: no contestant waits for another one's writes. */
async function settled<T>(work: () => Promise<T>): Promise<T> {
  await runClient('sync', []);
  return await work();
}

async function settledSeconds(work: () => Promise<void>): Promise<number> {
  return await settled(async () => {
    const startedAt = performance.now();
    await work();
    return (performance.now() - startedAt) / 1000;
  });
}

/** One layer of the image has changed. @returns the bytes of the bundle that brings the change */
async function measureDelta({ home }: Rig, seeds: readonly string[], layerBytes: number): Promise<number> {
  const fresh = new Teardown();
  try {
    const data = ['--data', join(await fresh.directory('delta'), 'data')];
    const changed = join(home, 'changed');
    const next = seeds.map((seed, n) => (n === seeds.length - 1 ? `${seed}, changed` : seed));
    await writeLayout(changed, name, next, layerBytes);
    await runHubcap(['import', changed, ...data]);
    const delta = join(home, 'delta.tar');
    await runHubcap(['export', '--all', '--since', join(home, 'bundle.tar'), '-o', delta, ...data]);
    return (await stat(delta)).size;
  } finally {
    await fresh.run();
  }
}

function describe(sheet: Sheet): string {
  return [exporting, importing, importingAlone]
    .map((what) => `${what} ${format(ratios(sheet, what).at(-1) ?? 0)} ×`)
    .join(', ');
}

function ratios(sheet: Sheet, what: string): number[] {
  const plain = sheet.rounds(what, speed, 'tar + sha256sum');
  return sheet.rounds(what, speed, 'hubcap').map((value, round) => value / (plain[round] ?? Number.NaN));
}

function checks(sheet: Sheet, digests: ReadonlySet<string>, delta: number): Check[] {
  const speeds = [exporting, importing, importingAlone].map((what) => {
    const ratio = median(ratios(sheet, what));
    return {
      name: `${what} against tar and sha256sum over the same files`,
      target: '≥ 0.6 ×',
      found: `${format(ratio)} ×`,
      passed: ratio >= 0.6,
    };
  });
  const peaks = [daemonPeak, commandPeak].map((unit) => {
    const peak = Math.max(...sheet.rounds('bundles', unit, 'hubcap'));
    return { name: unit, target: '< 200 MiB', found: format(peak), passed: peak < 200 };
  });
  return [
    ...speeds,
    ...peaks,
    {
      name: 'a second bundle after one changed layer of 5 %, by the layer',
      target: '≤ 1.1 ×',
      found: `${format(delta)} ×`,
      passed: delta <= 1.1,
    },
    {
      name: 'different bundles of the same content',
      target: '1',
      found: String(digests.size),
      passed: digests.size === 1,
    },
  ];
}
