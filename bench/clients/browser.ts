/** Owns a real Chromium that opens pages with nothing remembered, and tells when something was painted and what came. */
import { type Browser, type CDPSession, chromium } from 'playwright-core';
import { findProgram } from '../../test/helpers/engines/needs.ts';
import type { Teardown } from '../teardown.ts';

/** Debian's name for it. */
export const BROWSER = 'chromium';

const PAINT_DEADLINE_MS = 10_000;

export interface Opened {
  /** from the start of the navigation, by the browser's paint timing */
  firstContentfulPaintMs: number;
  /** of all responses on the wire, heads included, from the navigation until it was looked at */
  bytes: number;
  requests: number;
  /** what the page wrote to its console as errors, and requests that failed */
  troubles: string[];
  /** what a person can read */
  text: string;
}

export async function startBrowser(teardown: Teardown): Promise<Browser> {
  const executablePath = findProgram(BROWSER);
  if (executablePath === undefined) throw new Error(`no ${BROWSER}`);
  const browser = await chromium.launch({ executablePath, args: ['--disable-dev-shm-usage'] });
  teardown.add(() => browser.close());
  return browser;
}

/**
 * Opens a page in a context of its own: nothing is cached.
 * @param settleMs how long what comes behind the first paint is counted
 */
export async function open(browser: Browser, url: string, settleMs: number): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    const page = await context.newPage();
    const troubles: string[] = [];
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
    page.on('pageerror', (error) => troubles.push(error.message));
    const traffic = await countTraffic(await context.newCDPSession(page));
    const answer = await page.goto(url, { waitUntil: 'load' });
    const type = (await answer?.headerValue('content-type')) ?? '';
    if (!type.startsWith('text/html')) throw new Error('not a page', { cause: { url, type } });
    const firstContentfulPaintMs = await page.evaluate<number>(waitForPaint);
    await page.waitForTimeout(settleMs);
    return { firstContentfulPaintMs, ...traffic(), troubles, text: await page.innerText('body') };
  } finally {
    await context.close();
  }
}

/** Streams that do not end are counted by what has come of them. */
async function countTraffic(session: CDPSession): Promise<() => { bytes: number; requests: number }> {
  const received = new Map<string, number>();
  const add = (id: string, bytes: number): unknown => received.set(id, (received.get(id) ?? 0) + bytes);
  session.on('Network.responseReceived', ({ requestId, response }) =>
    received.set(requestId, response.encodedDataLength),
  );
  session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => add(requestId, encodedDataLength));
  // The end tells the true sum, heads included.
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
    received.set(requestId, encodedDataLength),
  );
  await session.send('Network.enable');
  return () => ({
    bytes: [...received.values()].reduce((sum, bytes) => sum + bytes, 0),
    requests: received.size,
  });
}

/** Runs in the page. */
const waitForPaint = `new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error('nothing was painted')), ${PAINT_DEADLINE_MS});
  new PerformanceObserver((list) => {
    const [entry] = list.getEntriesByName('first-contentful-paint');
    if (entry) resolve(entry.startTime);
  }).observe({ type: 'paint', buffered: true });
})`;
