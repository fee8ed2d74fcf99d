import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { seedStore } from '../../bench/seed-store.ts';
import type { ImagePage } from '../../src/admin/image-browser.ts';
import { startChromium } from '../helpers/chromium.ts';
import { KIB } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';
import { imageOf, statusOf, tell } from './documents.ts';

const browser = await startChromium(t);
const MAX_TRANSFERRED = 150 * KIB;
/** Of the layout's shift, of which 0.1 is called good (web.dev/cls). */
const MAX_SHIFT = 0.02;

async function start(t: Test, images: number) {
  const directory = await makeDirectory(t);
  await seedStore(directory, { images, layers: 1 });
  const registry = await startRegistry(t);
  return await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, directory });
}

const NINE = Array.from({ length: 10 }, (_, i) => `docker.io/bench/seed-1:1.${i}`);
const TENTH = ['docker.io/bench/seed-10:1.90'];

const rows = (page: Page) => page.locator('#image-list tbody tr');
const names = (page: Page) => page.locator('#image-list tbody .reference').allInnerTexts();
const counted = (page: Page, text: string) =>
  page.locator('#image-count').getByText(text, { exact: true }).waitFor();

if (browser) {
  const found = browser;
  const thousand = await start(t, 1000);

  t.test('a thousand images: pages, a search, an order', async (t) => {
    await found.look(t, thousand.admin, {}, async (page) => {
      await counted(page, '1 to 25 of 1,000 images');
      t.equal(await rows(page).count(), 25);
      const first = await names(page);
      t.same(first.slice(0, 11), [...NINE, ...TENTH], 'by repository, then by tag');
      const header = (name: string) => page.getByRole('columnheader', { name });
      t.equal(await header('Image').getAttribute('aria-sort'), 'ascending');
      await page.getByRole('button', { name: 'Next' }).click();
      await counted(page, '26 to 50 of 1,000 images');
      t.notOk((await names(page)).some((name) => first.includes(name)));
      t.match(await page.locator('#image-pages').innerText(), /Page 2 of 40/);

      await page.getByRole('button', { name: 'Last use' }).click();
      await counted(page, '1 to 25 of 1,000 images');
      t.match(await names(page), [/:1\.0$/, /:1\.1$/, /:1\.2$/], 'the last used first');
      t.equal(await header('Last use').getAttribute('aria-sort'), 'descending');
      t.equal(await header('Image').getAttribute('aria-sort'), null);

      await page.getByLabel('Search').fill('SEED-7: 1.6');
      await counted(page, '10 that match, of 1,000 images');
      t.ok((await names(page)).every((name) => /seed-7:1\.6\d$/.test(name)));
      t.equal(await page.locator('#image-pages').innerText(), '');
      await page.getByLabel('Search').fill('no such image');
      await counted(page, 'none of 1,000 images matches');
      await page.locator('#image-list').getByText('No image has these words').waitFor();
      await page.getByLabel('Search').press('Enter');
      await page.getByLabel('Search').fill('');
      await counted(page, '1 to 25 of 1,000 images');
    });
  });

  t.test('the last page, and what cannot be turned to', async (t) => {
    const mirror = await start(t, 60);
    await found.look(t, mirror.admin, {}, async (page) => {
      const button = (name: string) => page.getByRole('button', { name });
      await counted(page, '1 to 25 of 60 images');
      t.equal(await button('Previous').getAttribute('aria-disabled'), 'true');
      await button('Next').click();
      await counted(page, '26 to 50 of 60 images');
      await button('Next').click();
      await counted(page, '51 to 60 of 60 images');
      t.equal(await button('Next').getAttribute('aria-disabled'), 'true');
      await button('Next').press('Enter');
      await button('Previous').click();
      await counted(page, '26 to 50 of 60 images');
    });
  });

  t.test('the first look at a thousand images is small, and nothing jumps', async (t) => {
    let transferred = 0;
    const before = async (page: Page) => {
      const session = await page.context().newCDPSession(page);
      await session.send('Network.enable');
      session.on('Network.loadingFinished', ({ encodedDataLength }) => {
        transferred += encodedDataLength;
      });
      await page.addInitScript(() => {
        const shifts: number[] = [];
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[])
            shifts.push(entry.value);
        }).observe({ type: 'layout-shift', buffered: true });
        Object.assign(window, { shifts });
      });
    };
    for (const viewport of [
      { width: 1280, height: 900 },
      { width: 360, height: 740 },
    ]) {
      transferred = 0;
      await found.look(t, thousand.admin, { before, viewport }, async (page) => {
        await counted(page, '1 to 25 of 1,000 images');
        await page.locator('#chart-running canvas').waitFor();
        t.ok(
          transferred > 30 * KIB && transferred <= MAX_TRANSFERRED,
          `${transferred} bytes are transferred`,
        );
        const shift = await page.evaluate(() =>
          (window as unknown as { shifts: number[] }).shifts.reduce((sum, one) => sum + one, 0),
        );
        t.ok(shift <= MAX_SHIFT, `the layout shifts by ${shift.toFixed(4)} at ${viewport.width}`);
        const paints = await page.evaluate(() =>
          performance
            .getEntriesByName('first-contentful-paint')
            .map(({ startTime }) => Math.round(startTime)),
        );
        t.comment(`first contentful paint after ${paints} ms at ${viewport.width}`);
      });
    }
  });

  t.test('the first images are shown while the others are counted', async (t) => {
    const page = (isCounted: boolean, total: number): ImagePage => ({
      ...{ isCounted, total, matching: total, isTruncated: false },
      images: Array.from({ length: 25 }, (_, i) => imageOf(`docker.io/team/app:${i + 100}`, KIB, 0)),
    });
    const counted = makeGate();
    const asked: string[] = [];
    const before = async (tab: Page) => {
      await tell(tab, () => ({ status: statusOf(Date.now()) }));
      await tab.route('**/api/images?*', async (route) => {
        asked.push(new URL(route.request().url()).search);
        const isQuick = asked.at(-1)?.includes('quick=yes') === true;
        if (!isQuick) await counted.opened;
        await route.fulfill({ json: page(!isQuick, isQuick ? 50 : 20_000) });
      });
    };
    await found.look(t, thousand.admin, { before }, async (page) => {
      await page.locator('#image-count').getByText('1 to 25, counting').waitFor();
      t.equal(await rows(page).count(), 25);
      t.notMatch(await page.locator('#image-pages').innerText(), / of /);
      counted.open();
      await page.locator('#image-count').getByText('1 to 25 of 20,000 images').waitFor();
      t.match(await page.locator('#image-pages').innerText(), /Page 1 of 800/);
      t.match(asked, [/quick=yes/, /limit=25$/], 'at once, and once each');
    });
  });
}
