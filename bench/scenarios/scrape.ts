/** A scrape of GET /metrics with few blobs in the store and with many: its time, its size, its series. */
import { gunzipSync } from 'node:zlib';
import { ask } from '../clients/scraper.ts';
import { waitUntilIdle } from '../cpu.ts';
import { type Check, type Context, type Scenario, Sheet } from '../scenario.ts';
import { seedStore } from '../seed-store.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { format, median } from '../statistics.ts';

/** Nothing listens there: a scrape asks no upstream. */
const deadUpstream = 'http://127.0.0.1:9';
const layers = 8;
const blobsPerImage = layers + 2;
const mostMs = 20;

const ms = 'ms';
const series = 'series';
/** Without those of Node.js and the process: a kind of garbage collection has series once it has happened. */
const ownSeries = 'series of hubcap';
/** What Prometheus 3 and 2 send, less what nobody here speaks. */
const openMetrics =
  'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1';
const forms = {
  'plain text': { accept: 'text/plain;version=0.0.4' },
  'plain text, gzip': { accept: 'text/plain;version=0.0.4', 'accept-encoding': 'gzip' },
  'as Prometheus asks (gzip, OpenMetrics)': { accept: openMetrics, 'accept-encoding': 'gzip' },
} as const;

interface Store {
  name: string;
  adminUrl: string;
}

export const scrape: Scenario = {
  name: 'scrape',
  describe: 'GET /metrics with 10 blobs in the store and with 200,000',
  needs: [],
  async run(context) {
    const { teardown, isQuick, say } = context;
    const stores: Store[] = [];
    for (const images of [1, isQuick ? 2_000 : 20_000]) {
      const dataDirectory = await teardown.directory('scrape');
      await seedStore(dataDirectory, { images, layers });
      const { server, adminUrl } = await startHubcap(teardown, { upstreamUrl: deadUpstream, dataDirectory });
      await waitUntilIdle(server.pid, 60_000);
      stores.push({ name: `${format(images * blobsPerImage)} blobs`, adminUrl });
      say(`${format(images * blobsPerImage)} blobs are there`);
    }
    const sheet = new Sheet();
    const kinds = await measure(context, sheet, stores);
    return {
      measurements: sheet.measurements,
      checks: checks(sheet, stores),
      notes: [`scrape: answered as ${kinds.join('; ')}`],
    };
  },
};

/** @returns what the answers said that they were */
async function measure({ isQuick, say }: Context, sheet: Sheet, stores: Store[]): Promise<string[]> {
  const kinds = new Set<string>();
  for (let round = 0; round <= (isQuick ? 5 : 30); round++) {
    for (const [form, headers] of Object.entries(forms)) {
      for (const { name, adminUrl } of stores) {
        const { status, seconds, body, type, encoding } = await ask(`${adminUrl}/metrics`, headers);
        if (status !== 200) throw new Error('no metrics', { cause: status });
        if (round === 0) continue; // compiles what it runs
        const text = (encoding === 'gzip' ? gunzipSync(body) : body).toString();
        const row = `scrape with ${name}, ${form}`;
        sheet.note(row, ms, 'hubcap', seconds * 1000);
        sheet.note(row, series, 'hubcap', countSeries(text, ''));
        sheet.note(row, ownSeries, 'hubcap', countSeries(text, 'hubcap_'));
        sheet.note(row, 'kB sent', 'hubcap', body.length / 1000);
        kinds.add(`${form}: ${type}${encoding ? `, ${encoding}` : ''}`);
      }
    }
  }
  for (const { name, unit, rounds } of sheet.measurements)
    if (unit === ms) say(`${name}: ${format(median(rounds))} ms, worst ${format(Math.max(...rounds))}`);
  return [...kinds];
}

function countSeries(text: string, prefix: string): number {
  return text.split('\n').filter((line) => line.startsWith(prefix) && /^\w/.test(line)).length;
}

/** Of time the median counts, as it depends on what else runs. */
function checks(sheet: Sheet, [few, many]: Store[]): Check[] {
  const forMany = Object.keys(forms).map((form): Check => {
    const rounds = sheet.rounds(`scrape with ${many?.name}, ${form}`, ms, 'hubcap');
    const found = median(rounds);
    return {
      name: `scrape with ${many?.name}, ${form}: ms`,
      target: `≤ ${mostMs}`,
      found: `${format(found)} (worst ${format(Math.max(...rounds))})`,
      passed: found <= mostMs,
    };
  });
  const [form = ''] = Object.keys(forms);
  const [least, most] = [few, many].map((store) =>
    Math.max(...sheet.rounds(`scrape with ${store?.name}, ${form}`, ownSeries, 'hubcap')),
  );
  const isSame = least === most && (least ?? 0) > 0;
  return [
    ...forMany,
    {
      name: `scrape: ${ownSeries} with ${many?.name}`,
      target: `as with ${few?.name}`,
      found: `${most} and ${least}`,
      passed: isSame,
    },
  ];
}
