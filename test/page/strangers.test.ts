import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import {
  accountOf,
  endpointOf,
  imageOf,
  missOf,
  statusOf,
  type Told,
  tell,
  upstreamOf,
} from './documents.ts';

const browser = await startChromium(t);

if (browser) {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });

  t.test('what strangers wrote is text', async (t) => {
    const evil = '<img src=x onerror=alert(1)><b>b</b>"\'><script>alert(2)</script>\u202e';
    const now = Date.now();
    const later = new Date(now + 600_000).toISOString();
    const images = { done: 0, failed: 1, total: 1 };
    const last = {
      startedAt: later,
      endedAt: later,
      result: 'failed' as const,
      images,
      fetchedBytes: 0,
      message: evil,
    };
    const status = statusOf(now, {
      version: evil,
      directory: evil,
      configuration: { loadedAt: later, needsRestart: [evil] },
      prewarm: [{ list: evil, everyS: 60, isPinning: true, state: 'waiting', last, nextAt: later }],
      fills: [{ digest: evil, upstream: evil, repository: evil, size: 10, bytes: 5, readers: 1 }],
      upstreams: [
        upstreamOf(evil, {
          url: 'https://a/',
          endpoints: [endpointOf(evil, { state: 'down', reason: evil, message: evil })],
          accounts: [accountOf(evil, { rejectedUntil: later })],
        }),
      ],
    });
    const image = { ...imageOf(evil, 10, now, { [evil]: 0.5 }), digest: evil };
    const told: Told = {
      status,
      notReady: [evil],
      images: { isCounted: true, total: 1, matching: 1, isTruncated: false, images: [image] },
      misses: { total: 1, misses: [missOf(evil, now, { reason: evil, cause: evil, platform: evil })] },
    };
    await browser.look(t, mirror.admin, { before: (page) => tell(page, () => told) }, async (page) => {
      page.on('dialog', (dialog) => t.fail(`a script ran: ${dialog.message()}`));
      await page.locator('#image-list tbody tr').waitFor();
      await page.locator('#miss-list tbody tr').waitFor();
      await page.locator('#notices').getByText('not ready').first().waitFor();
      t.equal(await page.locator('img, script:not([src]), main b:not(.reference b)').count(), 0);
      for (const id of [
        'identity',
        'notices',
        'upstream-list',
        'download-list',
        'schedule-list',
        'image-list',
        'miss-list',
        'about',
      ])
        t.match(await page.locator(`#${id}`).innerText(), '<img src=x onerror=alert(1)>', id);
    });
  });

  t.test('whatever the browser complains of fails a test', async (t) => {
    const complaints: [RegExp, (page: Page) => Promise<unknown>][] = [
      [
        /Content Security Policy/,
        (page) =>
          page.evaluate(() =>
            fetch('https://elsewhere.test/').then(
              () => undefined,
              () => undefined,
            ),
          ),
      ],
      [
        /TrustedHTML/,
        (page) =>
          page.evaluate(() => Object.assign(document.body, { innerHTML: '<p>' })).catch(() => undefined),
      ],
      [/on purpose/, (page) => page.evaluate(() => console.error('on purpose'))],
      [
        /thrown/,
        (page) =>
          page.evaluate(
            () =>
              void queueMicrotask(() => {
                throw new Error('thrown');
              }),
          ),
      ],
    ];
    for (const [expected, act] of complaints) {
      const heard: string[] = [];
      const deaf = { test: (fault: string) => heard.push(fault) > 0 } as unknown as RegExp;
      await browser.look(t, mirror.admin, { expected: deaf }, async (page) => {
        await page.locator('#tiles .tile').first().waitFor();
        const complained = Promise.race([page.waitForEvent('console'), page.waitForEvent('pageerror')]);
        await act(page);
        await complained;
      });
      t.match(heard.join('\n'), expected);
    }
  });
}
