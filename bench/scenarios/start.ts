/** A start on a data directory with 200,000 blobs: how soon it serves, and the memory that it takes. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Layout } from '../../src/store/layout.ts';
import { cpuSeconds, memoryOf, waitUntilIdle } from '../cpu.ts';
import { findFreePort, runClient, type Server } from '../processes.ts';
import { type Check, type Context, type Scenario, Sheet } from '../scenario.ts';
import { type Stored, seedStore } from '../seed-store.ts';
import { spawnHubcap } from '../servers/hubcap.ts';
import { format, median } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const layers = 8;
const blobsPerImage = layers + 2;
const mebibyte = 1024 * 1024;
const POLL_MS = 5;
const DEADLINE_MS = 30_000;
/** Nothing listens there: a start must not need its upstream. */
const deadUpstream = 'http://127.0.0.1:9';

const toPing = 's to the first 200';
const toBlob = 's to a stored blob';
const cpuThen = 'CPU-s by then';
const early = 'MiB RSS then';
const late = 'MiB RSS after reconciling';
const peak = 'MiB peak RSS';

export const start: Scenario = {
  name: 'start',
  describe: 'a start on a data directory with many blobs, and on an empty one',
  needs: ['dd'],
  async run(context) {
    const { teardown, isQuick, say } = context;
    const images = isQuick ? 2_000 : 20_000;
    const name = `start with ${format(images * blobsPerImage)} blobs`;
    const full = await teardown.directory('seeds');
    const startedAt = performance.now();
    const stored = await seedStore(full, { images, layers });
    say(`seeded in ${format((performance.now() - startedAt) / 1000)} s`);
    const sheet = new Sheet();
    for (let round = 0; round < (isQuick ? 1 : 5); round++) {
      await measure(context, sheet, name, { directory: full, stored });
      await dropFromMemory(new Layout(full).catalog);
      await measure(context, sheet, `${name}, catalog read from disk`, { directory: full, stored });
      await measure(context, sheet, 'start with no blobs', { directory: await teardown.directory('empty') });
    }
    return { measurements: sheet.measurements, checks: checks(sheet, name) };
  },
};

async function measure(
  { say }: Context,
  sheet: Sheet,
  name: string,
  { directory, stored }: { directory: string; stored?: Stored },
): Promise<void> {
  const fresh = new Teardown();
  try {
    const port = await findFreePort();
    const options = { upstreamUrl: deadUpstream, dataDirectory: directory, port };
    const { server } = await spawnHubcap(fresh, options);
    const secondsSinceSpawn = (): number => (performance.now() - server.spawnedAt) / 1000;
    const note = (unit: string, value: number): void => sheet.note(name, unit, 'hubcap', value);
    const url = `http://127.0.0.1:${port}`;
    await waitUntilServing(server, `${url}/v2/`);
    note(toPing, secondsSinceSpawn());
    if (stored) {
      await expectBlob(url, stored);
      note(toBlob, secondsSinceSpawn());
    }
    note(cpuThen, await cpuSeconds(server.pid));
    note(early, (await memoryOf(server.pid)).rssBytes / mebibyte);
    await waitUntilIdle(server.pid);
    const { rssBytes, peakBytes } = await memoryOf(server.pid);
    note(late, rssBytes / mebibyte);
    note(peak, peakBytes / mebibyte);
    const served = sheet.rounds(name, toPing, 'hubcap').at(-1) ?? Number.NaN;
    say(`${name}: serves after ${format(served)} s, peak RSS ${format(peakBytes / mebibyte)} MiB`);
  } finally {
    await fresh.run();
  }
}

/** As after a start of the machine: writes a file out and has the kernel forget its pages (posix_fadvise, by dd). */
async function dropFromMemory(file: string): Promise<void> {
  await runClient('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
}

async function waitUntilServing(server: Server, url: string): Promise<void> {
  while (server.isRunning && performance.now() < server.spawnedAt + DEADLINE_MS) {
    const response = await ask(url).catch(() => undefined); // refused until it listens
    if (response?.status === 200) return;
    await delay(POLL_MS);
  }
  throw new Error('hubcap does not serve', { cause: url });
}

async function expectBlob(url: string, { repository, digest, content }: Stored): Promise<void> {
  const { status, body } = await ask(`${url}/v2/${repository}/blobs/${digest}`);
  if (status !== 200 || !body.equals(content)) throw new Error('not what was stored', { cause: { status } });
}

/** Cheaper than `fetch`: the asking must not slow the start that it times. */
async function ask(url: string): Promise<{ status: number | undefined; body: Buffer }> {
  const [response]: IncomingMessage[] = await once(get(url, { agent: false }), 'response');
  if (!response) throw new Error('no response', { cause: url });
  return { status: response.statusCode, body: await buffer(response) };
}

/** Of time the median counts, as it depends on what else runs; of memory the most that there ever was. */
function checks(sheet: Sheet, name: string): Check[] {
  const worst = (unit: string): number => Math.max(...sheet.rounds(name, unit, 'hubcap'));
  const blobs = sheet.rounds(name, toBlob, 'hubcap');
  const seconds = median(blobs);
  const mebibytes = Math.max(worst(early), worst(late), worst(peak));
  return [
    {
      name: `${name}: s until a stored blob is served`,
      target: '≤ 1',
      found: `${format(seconds)} (worst ${format(worst(toBlob))})`,
      passed: seconds <= 1,
    },
    { name: `${name}: peak RSS, MiB`, target: '< 200', found: format(mebibytes), passed: mebibytes < 200 },
  ];
}
