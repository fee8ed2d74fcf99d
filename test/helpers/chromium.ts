/** Owns a real browser for tests of the page: one for a file, a fresh profile for each look, and what may never happen there. */
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import type { Test } from 'tap';
import { findProgram, needs } from './engines/needs.ts';
import { until } from './waiting.ts';

export interface LookOptions {
  /** `dark` or `light` */
  colorScheme?: 'dark' | 'light';
  viewport?: { width: number; height: number };
  reducedMotion?: 'reduce' | 'no-preference';
  /** what the browser may complain of: a daemon that is away on purpose */
  expected?: RegExp;
  permissions?: string[];
  /** what the page waits for is hastened by `soon`, as by a clock of its own */
  isHastened?: boolean;
  /** runs before the page is opened: answers that the test gives in place of the daemon */
  before?: (page: Page) => Promise<unknown>;
}

/** Waits until an element is there to be seen, or as it should be; in a hastened page no longer than answers take. */
export type Soon = (wanted: Locator | (() => Promise<boolean>)) => Promise<void>;

export interface Chromium {
  /**
   * Opens an address, lets the test look, and closes it. Fails on whatever the console calls an error, an exception, a
   * violation of the page's security policy, and on a request to anybody else.
   */
  look(t: Test, url: string, options: LookOptions, looking: Looking): Promise<void>;
}

type Looking = (page: Page, soon: Soon) => Promise<void>;

const DEADLINE_MS = 20_000;
const DESKTOP = { width: 1280, height: 900 };
/** How wide a small phone is. */
export const PHONE = { width: 360, height: 740 };

/** @returns undefined where there is no Chromium: the test is skipped then, or has failed in CI */
export async function startChromium(t: Test): Promise<Chromium | undefined> {
  if (!needs(t, 'chromium')) return undefined;
  const executablePath = findProgram('chromium') ?? '';
  // A container has no name spaces to give to a sandbox; what is opened here is ours.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.teardown(() => browser.close());
  return { look: (t, url, options, looking) => look(browser, t, url, options, looking) };
}

async function look(
  browser: Browser,
  t: Test,
  url: string,
  { expected, before, isHastened = false, permissions = [], viewport = DESKTOP, ...options }: LookOptions,
  looking: Looking,
): Promise<void> {
  const settings: BrowserContextOptions = { viewport, permissions, ...options };
  const context = await browser.newContext(settings);
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(DEADLINE_MS);
    const faults = watch(page, new URL(url).origin);
    const soon = isHastened ? await hasten(page) : waitIn(page);
    await before?.(page);
    await page.goto(url, { waitUntil: 'load' });
    await looking(page, soon);
    t.same(
      faults.filter((fault) => !expected?.test(fault)),
      [],
      'the browser has nothing to complain of',
    );
  } finally {
    await context.close();
  }
}

/** Shorter than what the page waits for an answer, longer than between two questions about the status. */
const STEP_MS = 2_100;
const LOOK_INTERVAL_MS = 25;

function isSeen(wanted: Parameters<Soon>[0]): Promise<boolean> {
  return typeof wanted === 'function' ? wanted() : wanted.first().isVisible();
}

function waitIn(page: Page): Soon {
  return (wanted) => until(`seen in ${page.url()}`, () => isSeen(wanted), LOOK_INTERVAL_MS);
}

/** Gives the page a clock that leaps while nothing is asked: no answer comes too late because of it. */
async function hasten(page: Page): Promise<Soon> {
  let asked = 0;
  page.on('request', () => asked++);
  for (const end of ['requestfinished', 'requestfailed'] as const)
    page.on(end as 'requestfinished', () => asked--);
  await page.clock.install();
  const look = async (wanted: Parameters<Soon>[0]): Promise<boolean> => {
    if (await isSeen(wanted)) return true;
    if (asked === 0) await page.clock.fastForward(STEP_MS);
    return false;
  };
  return (wanted) => until(`seen in ${page.url()}`, () => look(wanted), LOOK_INTERVAL_MS);
}

/** @returns what goes wrong from now on. Violations of a security policy are errors of the console. */
function watch(page: Page, origin: string): string[] {
  const faults: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
  });
  return faults;
}
