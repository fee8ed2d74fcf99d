import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';
import { busyHour, statusAt, statusOf, type Told, tell } from './documents.ts';

const HOST = 'registry.test';
const browser = await startChromium(t);
/** What a browser says of a daemon that is not there. */
const AWAY = /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 50[02]/;

/** An address that leads to one daemon, to nobody, to a wall, or to another daemon. */
async function startAddress(t: Test, first: string) {
  let target: string | undefined = first;
  let isSilent = false;
  const server = createServer(({ url = '/', headers }, response) => {
    if (isSilent) return;
    if (target === undefined) {
      response.destroy();
      return;
    }
    const asking = request(target + url, { headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    asking.on('error', () => response.destroy()).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    lead: (to: string | undefined) => {
      target = to;
      isSilent = false;
    },
    fallSilent: () => {
      isSilent = true;
    },
  };
}

async function startDaemon(t: Test, repository: string) {
  const registry = await startRegistry(t);
  registry.push(repository, imageOf(repository, [1000]), 'v1');
  const mirror = await startMirror(t, { upstreams: { [HOST]: { at: registry } } });
  await mirror.manifest(`/v2/${repository}/manifests/v1`);
  return mirror;
}

const banner = (page: Page) => page.locator('#connection .notice');

if (browser) {
  t.test('a daemon that goes away and another that comes', async (t) => {
    const one = await startDaemon(t, 'team/one');
    const two = await startDaemon(t, 'team/two');
    await two.manifest('/v2/team/two/manifests/v1');
    const address = await startAddress(t, one.admin);
    await browser.look(t, address.url, { expected: AWAY, isHastened: true }, async (page, soon) => {
      await page.locator('#image-list').getByText('team/one').waitFor();
      t.match(await page.locator('.tile').first().innerText(), /0 %/);
      address.lead(undefined);
      await one.close();
      await soon(banner(page).getByText('Connection lost'));
      t.match(await banner(page).innerText(), /cannot be reached.*Last seen at \d\d:\d\d:\d\d/s);
      t.match(await page.title(), /connection lost/);
      t.ok(await page.locator('#image-list').getByText('team/one').isVisible(), 'what was known stays');
      address.lead(two.admin);
      await page.getByRole('button', { name: 'Try now' }).click();
      await banner(page).waitFor({ state: 'detached' });
      await soon(page.locator('#image-list').getByText('team/two'));
      t.equal(await page.locator('#image-list').getByText('team/one').count(), 0);
      t.match(await page.locator('.tile').first().innerText(), /50 %\n+of 2 requests\n/);
      t.equal(await page.title(), 'hubcap');
    });
  });

  t.test('a daemon that comes back is found without anybody doing anything', async (t) => {
    const mirror = await startDaemon(t, 'team/one');
    const address = await startAddress(t, mirror.admin);
    await browser.look(t, address.url, { expected: AWAY, isHastened: true }, async (page, soon) => {
      await page.locator('#tiles .tile').first().waitFor();
      await page.locator('#clients').scrollIntoViewIfNeeded();
      address.lead(undefined);
      await soon(banner(page));
      const { y = -1, height = 0 } = (await banner(page).boundingBox()) ?? {};
      t.ok(y >= 0 && y + height < 900, 'it is seen from the end of the page, too');
      address.lead(mirror.admin);
      await soon(async () => (await banner(page).count()) === 0);
    });
  });

  t.test('a daemon that takes the question and never answers', async (t) => {
    const mirror = await startDaemon(t, 'team/one');
    const address = await startAddress(t, mirror.admin);
    await browser.look(t, address.url, { expected: AWAY, isHastened: true }, async (page, soon) => {
      await page.locator('#tiles .tile').first().waitFor();
      address.fallSilent();
      await Promise.all([page.waitForRequest(/api\/status/), page.clock.fastForward(2_000)]);
      await page.clock.fastForward(5_000);
      await banner(page).getByText('it does not answer in time').waitFor();
      address.lead(mirror.admin);
      await soon(async () => (await banner(page).count()) === 0);
    });
  });

  t.test('an answer that is none, and one that the page does not understand', async (t) => {
    const { admin } = await startDaemon(t, 'team/one');
    let answer: { status: number; body: string } = { status: 502, body: '<h1>Bad gateway</h1>' };
    const before = (page: Page) => page.route('**/api/status', (route) => route.fulfill(answer));
    await browser.look(
      t,
      admin,
      { before, expected: /status of 502|TypeError/, isHastened: true },
      async (page, soon) => {
        await banner(page).getByText('it answers 502').waitFor();
        t.match(await banner(page).innerText(), /not heard since this page was opened/);
        answer = { status: 200, body: 'ok' };
        await soon(banner(page).getByText('its answer cannot be read'));
        answer = {
          status: 200,
          body: JSON.stringify({ ...statusOf(Date.now()), version: '9.0.0', upstreams: undefined }),
        };
        await soon(banner(page).getByText('does not understand what hubcap 9.0.0 tells'));
      },
    );
  });

  t.test('a page of an older version says to reload, and reloads', async (t) => {
    const { admin } = await startDaemon(t, 'team/one');
    let version = '0.1.0';
    const before = (page: Page) => tell(page, () => ({ status: statusOf(Date.now(), { version }) }));
    await browser.look(t, admin, { before, isHastened: true }, async (page, soon) => {
      await page.locator('#identity').getByText('version 0.1.0').waitFor();
      t.equal(await banner(page).count(), 0);
      version = '0.2.0';
      await soon(banner(page).getByText('hubcap is now version 0.2.0'));
      await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Reload' }).click()]);
      await page.locator('#identity').getByText('version 0.2.0').waitFor();
      t.equal(await banner(page).count(), 0);
    });
  });

  t.test('nothing is asked while nobody can see the page', async (t) => {
    const { admin } = await startDaemon(t, 'team/one');
    const before = async (page: Page) => {
      await page.clock.install();
      await page.addInitScript(() => {
        let isHidden = false;
        Object.defineProperty(document, 'hidden', { get: () => isHidden });
        document.addEventListener('test-hides', ({ detail }: CustomEventInit<boolean>) => {
          isHidden = detail === true;
          document.dispatchEvent(new Event('visibilitychange'));
        });
      });
    };
    const hide = (page: Page, isHidden: boolean) =>
      page.evaluate(
        (detail) => void document.dispatchEvent(new CustomEvent('test-hides', { detail })),
        isHidden,
      );
    await browser.look(t, admin, { before }, async (page) => {
      await page.locator('#image-list').getByText('team/one').waitFor();
      const asked: string[] = [];
      page.on('request', (request) => asked.push(new URL(request.url()).pathname));
      await page.clock.runFor(2_500);
      await until('it asks while it is seen', () => asked.includes('/api/status'), 20);
      await hide(page, true);
      asked.length = 0;
      await page.clock.runFor(120_000);
      t.same(asked, []);
      await hide(page, false);
      const all = ['/api/status', '/api/history', '/api/ready', '/api/images', '/api/misses'];
      await until(
        'it asks for all as soon as it is seen',
        () => all.every((path) => asked.includes(path)),
        20,
      );
    });
  });

  t.test('a clock that is set back does not stop the last hour', async (t) => {
    const { admin } = await startDaemon(t, 'team/one');
    const endMs = Date.now();
    const startedAt = new Date(endMs - 86_400_000).toISOString();
    const at = (ms: number) => {
      const samples = busyHour(ms);
      const last = samples.at(-1);
      if (!last) throw new Error('an hour without samples');
      const uptimeS = Math.round((ms - endMs) / 1000) + 86_400;
      return { status: { ...statusAt(last), startedAt, uptimeS }, samples };
    };
    let told: Told = at(endMs);
    const before = (page: Page) => tell(page, () => told);
    await browser.look(t, admin, { before, isHastened: true }, async (page, soon) => {
      const label = () => page.locator('#chart-requests [role=img]').getAttribute('aria-label');
      await soon(async () => /[1-9]\d* from here/.test((await label()) ?? ''));
      told = { ...at(endMs - 2 * 3600_000), samples: [] };
      await soon(async () => /: 0 from here/.test((await label()) ?? ''));
      told = at(endMs - 2 * 3600_000);
      await soon(async () => /[1-9]\d* from here/.test((await label()) ?? ''));
    });
  });
}
