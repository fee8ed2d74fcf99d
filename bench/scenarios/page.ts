/** The status page in a real browser, with a thousand images in the store: its first paint, and the bytes that it takes. */
import { BROWSER, open, startBrowser } from '../clients/browser.ts';
import { waitUntilIdle } from '../cpu.ts';
import { type Check, type Scenario, Sheet } from '../scenario.ts';
import { seedStore } from '../seed-store.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { format, median } from '../statistics.ts';

const images = 1_000;
const layers = 8;
/** How the page says how much is in the store: manifest, configuration and layers of each image. */
const shown = format(images * (layers + 2));
const mostMs = 1_000;
const mostBytes = 150_000;
/** What the page asks for behind its first paint is counted for so long. */
const SETTLE_MS = 2_000;
/** Nothing listens there. */
const deadUpstream = 'http://127.0.0.1:9';

const name = `status page with ${format(images)} images in the store`;
const paint = 'ms to the first contentful paint';
const bytes = 'kB transferred in the first two seconds';

export const page: Scenario = {
  name: 'page',
  describe: `${name}, in Chromium`,
  needs: [BROWSER],
  async run({ teardown, isQuick, say }) {
    const dataDirectory = await teardown.directory('page');
    await seedStore(dataDirectory, { images, layers });
    const hubcap = await startHubcap(teardown, { upstreamUrl: deadUpstream, dataDirectory });
    await waitUntilIdle(hubcap.server.pid, 60_000);
    const browser = await startBrowser(teardown);
    const sheet = new Sheet();
    let troubles = 0;
    let isShown = true;
    for (let round = 0; round <= (isQuick ? 1 : 5); round++) {
      const found = await open(browser, `${hubcap.adminUrl}/`, SETTLE_MS);
      if (round === 0) continue; // the browser's own start
      troubles += found.troubles.length;
      isShown &&= found.text.includes(shown);
      for (const trouble of found.troubles) say(`the page complains: ${trouble}`);
      sheet.note(name, paint, 'hubcap', found.firstContentfulPaintMs);
      sheet.note(name, bytes, 'hubcap', found.bytes / 1000);
      sheet.note(name, 'requests', 'hubcap', found.requests);
      say(
        `${name}: ${format(found.firstContentfulPaintMs)} ms, ${format(found.bytes / 1000)} kB, ${found.requests} requests`,
      );
    }
    return { measurements: sheet.measurements, checks: checks(sheet, troubles, isShown) };
  },
};

/** Of time the median counts, as it depends on what else runs; of bytes the most. */
function checks(sheet: Sheet, troubles: number, isShown: boolean): Check[] {
  const paints = sheet.rounds(name, paint, 'hubcap');
  const most = Math.max(...sheet.rounds(name, bytes, 'hubcap'));
  return [
    {
      name: `${name}: ${paint}`,
      target: `≤ ${format(mostMs)}`,
      found: `${format(median(paints))} (worst ${format(Math.max(...paints))})`,
      passed: median(paints) <= mostMs,
    },
    { name: `${name}: ${bytes}`, target: '≤ 150', found: format(most), passed: most * 1000 <= mostBytes },
    { name: `${name}: errors in the console`, target: '0', found: String(troubles), passed: troubles === 0 },
    {
      name: `${name}: shows what is in the store`,
      target: `${shown} objects`,
      found: isShown ? shown : 'no',
      passed: isShown,
    },
  ];
}
