import type { Page } from 'playwright-core';
import t from 'tap';
import { PHONE, startChromium } from '../helpers/chromium.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';
import { accessibilityTree } from './accessibility-tree.ts';
import { contrastFaults } from './contrast.ts';
import { imageOf, missOf, statusOf, type Told, tell, upstreamOf } from './documents.ts';
import { office, type Situation } from './office.ts';

const browser = await startChromium(t);
const SITUATIONS: readonly Situation[] = ['busy', 'stale', 'offline'];

/** A page full of what was made up, all of it open. */
async function showAll(page: Page): Promise<void> {
  await page.locator('#image-list tbody tr').first().waitFor();
  await page.locator('#miss-list tbody tr').first().waitFor();
  await page.locator('#chart-running canvas').waitFor();
  await page.getByText('The last hour as a table').click();
  await page.locator('#client-list summary').first().click();
}

if (browser) {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const telling = (told: () => Told) => (page: Page) => tell(page, told);
  const officeAt = (situation: Situation) => telling(() => office(Date.now(), situation));

  t.test('every control has a name, headings are in order, and there are landmarks', async (t) => {
    for (const situation of SITUATIONS)
      await browser.look(t, mirror.admin, { before: officeAt(situation) }, async (page) => {
        await showAll(page);
        const nodes = await accessibilityTree(page);
        const CONTROLS = [
          'DisclosureTriangle',
          'button',
          'link',
          'textbox',
          'searchbox',
          'progressbar',
          'image',
          'img',
          'region',
          'navigation',
          'table',
        ];
        const unnamed = nodes.filter(({ role, name }) => CONTROLS.includes(role) && name.trim() === '');
        t.same(unnamed, [], situation);
        t.ok(
          nodes.filter(({ role }) => /button|Triangle/.test(role)).length >= 12,
          'there are controls to be named',
        );
        const levels = await page.evaluate(headingLevels);
        t.equal(levels.filter((level) => level === 1).length, 1);
        t.same(
          levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1),
          [],
          `no level is left out in ${levels}`,
        );
        for (const role of ['banner', 'main', 'navigation', 'contentinfo', 'search', 'status'])
          t.ok(
            nodes.some((node) => node.role === role),
            `${situation}: ${role}`,
          );
        const regions = nodes.filter(({ role }) => role === 'region').map(({ name }) => name);
        t.match(regions, ['Overview', 'Upstreams', 'Last hour']);
        const count = (role: string) => nodes.filter((node) => node.role === role).length;
        t.ok(count('columnheader') >= 9 && count('rowheader') > 13 && count('row') > 15, 'tables are tables');
      });
  });

  t.test('long names do not make the page wider than a phone, where tables are still tables', async (t) => {
    const long = 'a'.repeat(120);
    const odd: Told = {
      ...office(Date.now(), 'stale'),
      images: {
        isCounted: true,
        total: 1,
        matching: 1,
        isTruncated: true,
        images: [imageOf(`docker.io/${long}/${long}:${long}`, 1, 0)],
      },
      misses: { total: 1, misses: [missOf(`docker.io/${long}:${long}`, Date.now())] },
    };
    const all = [odd, { ...odd, status: statusOf(Date.now(), { tellsNames: false }) }];
    for (const told of all)
      await browser.look(t, mirror.admin, { before: telling(() => told), viewport: PHONE }, async (page) => {
        if (told.status.tellsNames) await showAll(page);
        else await page.locator('#images').getByText('adminNames').first().waitFor();
        t.same(await page.evaluate(widerBy), 0);
        const nodes = await accessibilityTree(page);
        if (told.status.tellsNames) t.ok(nodes.filter(({ role }) => role === 'rowheader').length >= 2);
      });
  });

  t.test('all text stands out from what is behind it, and nothing is wider than the screen', async (t) => {
    for (const situation of SITUATIONS)
      await browser.look(t, mirror.admin, { before: officeAt(situation) }, async (page) => {
        await showAll(page);
        for (const viewport of [{ width: 1280, height: 900 }, PHONE])
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.setViewportSize(viewport);
            await page.emulateMedia({ colorScheme });
            const { looked, faults } = await page.evaluate(contrastFaults);
            t.ok(looked > 100, `${looked} texts were looked at`);
            t.same(faults, [], `${situation}, ${colorScheme}, ${viewport.width}`);
            t.same(await page.evaluate(widerBy), 0);
          }
      });
  });

  t.test('a text that does not stand out is found', async (t) => {
    await browser.look(t, mirror.admin, { before: officeAt('busy') }, async (page) => {
      await showAll(page);
      await page.evaluate(() => document.querySelector('h1')?.style.setProperty('color', '#999'));
      const { faults } = await page.evaluate(contrastFaults);
      t.match(faults, [/^2\.\d+ hubcap/]);
    });
  });

  t.test('who listens hears what is new, once, and no countdown', async (t) => {
    const beganMs = Date.now();
    const restingUntil = new Date(beganMs + 1200_000).toISOString();
    const resting = { upstreams: [upstreamOf('docker.io', { restingUntil })] };
    let asked = 0;
    let change: Parameters<typeof statusOf>[1] = resting;
    const before = telling(() => ({ status: statusOf(beganMs + (asked++ / 5) * 2000, change) }));
    await browser.look(t, mirror.admin, { before, isHastened: true }, async (page, soon) => {
      const announced = () => page.locator('#announcements').textContent();
      await soon(async () => (await announced()) === 'docker.io: resting');
      await page.locator('#images').getByText('No image is here yet').waitFor();
      await page.evaluate(() => {
        const live = document.querySelectorAll('[aria-live], [role=status], [role=alert]');
        const heard: string[] = [];
        const observer = new MutationObserver((all) =>
          heard.push(...all.map(({ target }) => `${target.textContent}`)),
        );
        for (const one of live)
          observer.observe(one, { subtree: true, childList: true, characterData: true });
        Object.assign(window, { heard });
      });
      const heard = () => page.evaluate(() => (window as unknown as { heard: string[] }).heard);
      const shown = await page.locator('#notices').innerText();
      await soon(async () => (await page.locator('#notices').innerText()) !== shown);
      t.same(await heard(), [], 'the time that is left is only shown');
      change = {};
      await soon(async () => (await heard()).includes('All is well again'));
    });
  });

  t.test('light and dark, also when that changes while one looks', async (t) => {
    const before = officeAt('busy');
    const expected = /willReadFrequently/; // it is the test that reads the canvas
    await browser.look(t, mirror.admin, { before, expected, colorScheme: 'light' }, async (page) => {
      await showAll(page);
      const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const axis = () => page.evaluate(axisColour);
      t.equal(await background(), 'rgb(246, 247, 249)');
      const light = await axis();
      await page.emulateMedia({ colorScheme: 'dark' });
      await until('the page is dark', async () => (await background()) === 'rgb(15, 19, 24)', 20);
      await until('and so are the charts', async () => (await axis()) > light + 30, 20);
      await page.emulateMedia({ colorScheme: 'light' });
      await until('and back', async () => (await axis()) === light, 20);
    });
  });

  t.test('with the keyboard alone', async (t) => {
    const told = (): Told => office(Date.now(), 'busy');
    await browser.look(t, mirror.admin, { before: telling(told), isHastened: true }, async (page, soon) => {
      await page.locator('#image-list tbody tr').first().waitFor();
      const focused = () =>
        page.evaluate(() => {
          const element = document.activeElement;
          const { outlineStyle, outlineWidth } = getComputedStyle(element ?? document.body);
          const text = element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '';
          const isSeen = outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2;
          return { name: element instanceof HTMLInputElement ? element.id : text, isSeen };
        });
      const walked: string[] = [];
      for (let i = 0; i < 60 && walked.at(-1) !== '/api/status'; i++) {
        await page.keyboard.press('Tab');
        const { name, isSeen } = await focused();
        if (!isSeen) t.fail(`the focus is not seen at ${name}`);
        walked.push(name);
      }
      t.match(walked.slice(0, 8), [
        'Skip to the figures',
        'Upstreams',
        'Last hour',
        'Downloads',
        'Images',
        'Missed',
        'Clients',
        'see what',
      ]);
      const places = [
        'The last hour as a table',
        'search',
        'Image ↑',
        'Last use ↕',
        'Next',
        'address',
        'Docker',
        '/metrics',
      ];
      const order = places.map((name) => walked.indexOf(name));
      t.same(
        order,
        [...order].sort((a, b) => a - b),
        'in the order of the page',
      );
      t.ok(
        order.every((at) => at >= 0),
        walked.join(' | '),
      );

      await page.keyboard.press('Control+Home');
      await page.getByRole('link', { name: 'Skip to the figures' }).focus();
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      t.equal((await focused()).name, 'see what', 'what was skipped is skipped');
      await page.getByRole('button', { name: 'Last use' }).focus();
      await page.keyboard.press('Enter');
      await page.locator('th[aria-sort=descending]').waitFor();
      t.match((await focused()).name, /^Last use ↓/, 'the focus stays when the table is another');
      let answers = 0;
      page.on('response', (response) => {
        if (response.url().endsWith('api/status')) answers += 1;
      });
      await soon(async () => answers >= 2);
      t.match((await focused()).name, /^Last use ↓/, 'and when all is shown anew');
      await page.locator('#client-list summary').first().focus();
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      t.match((await focused()).name, /^Copy /);
    });
  });
}

/** How many pixels of the page are beyond the screen. */
function widerBy(): number {
  return Math.max(0, document.documentElement.scrollWidth - innerWidth);
}

/** How bright the text at the axes of the first chart is, 0 to 255. */
function axisColour(): number {
  const canvas = document.querySelector<HTMLCanvasElement>('#chart-hit-rate canvas');
  const { data = [] } = canvas?.getContext('2d')?.getImageData(0, 0, 60, canvas.height) ?? {};
  const opaque = [...data].filter((_, i) => i % 4 === 0 && (data[i + 3] ?? 0) > 250);
  return opaque.length === 0 ? -1 : Math.round(opaque.reduce((sum, red) => sum + red, 0) / opaque.length);
}

/** Of the headings that are there, in the order in which they are read. */
function headingLevels(): number[] {
  const shown = [...document.querySelectorAll('h1, h2, h3, h4')].filter((heading) =>
    heading.checkVisibility(),
  );
  return shown.map(({ tagName }) => Number(tagName.slice(1)));
}
