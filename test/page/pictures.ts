/** Makes pictures of the page with made-up content: `node test/page/pictures.ts DIRECTORY`. No test; for looking, and for docs/. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PageFiles } from '../../src/admin/page-files.ts';
import { statusOf, type Told, tell } from './documents.ts';
import { office } from './office.ts';

const target = process.argv[2] ?? 'pictures';
mkdirSync(target, { recursive: true });
const files = new PageFiles();
const names = ['page.js', 'style.css', 'icon.svg'] as const;
const server = createServer(({ url = '/', headers }, response) => {
  const name = names.find((one) => url === `/${one}`) ?? 'index.html';
  const answer = files.answer(name, { address: undefined, headers, httpVersion: '1.1' });
  if (!('body' in answer)) return;
  response.writeHead(answer.status, { 'content-type': answer.type, ...answer.headers }).end(answer.body);
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });

const desktop = { width: 1280, height: 960 };
const phone = { width: 360, height: 740 };
const situations: Record<string, () => Told> = {
  empty: () => ({ status: statusOf(Date.now(), { uptimeS: 12 }) }),
  busy: () => office(Date.now(), 'busy'),
  stale: () => office(Date.now(), 'stale'),
  offline: () => office(Date.now(), 'offline'),
  disk: () => {
    const told = office(Date.now(), 'busy');
    return {
      ...told,
      status: { ...told.status, store: { ...told.status.store, isWritable: false } },
      notReady: ['the disk refuses: ENOSPC: no space left on device, write'],
    };
  },
  names: () => ({ status: statusOf(Date.now(), { tellsNames: false }) }),
};
for (const [name, told] of Object.entries(situations))
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [kind, viewport] of Object.entries({ desktop, phone })) {
      const page = await browser.newPage({ colorScheme, viewport });
      page.on('console', (message) => console.error(name, message.text()));
      page.on('pageerror', (error) => console.error(name, error));
      await tell(page, told);
      await page.goto(origin);
      await page.locator('#tiles .tile').first().waitFor();
      if (name === 'busy') await page.locator('.downloads li').getByText('/s').first().waitFor();
      await page.screenshot({ path: join(target, `${name}-${colorScheme}-${kind}.png`), fullPage: true });
      if (name === 'busy') await page.screenshot({ path: join(target, `top-${colorScheme}-${kind}.png`) });
      await page.close();
    }
await browser.close();
server.close();
console.log(readFileSync(join(target, 'top-light-desktop.png')).length, 'bytes');
