import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const browser = await startChromium(t);

async function start(t: Test) {
  const registry = await startRegistry(t);
  return { mirror: await startMirror(t, { upstreams: { 'registry.test': { at: registry } } }) };
}

if (browser) {
  t.test('settings for clients, for the address of the page or the one that is typed', async (t) => {
    const { mirror } = await start(t);
    const port = new URL(mirror.url).port;
    const admin = mirror.admin.replace('127.0.0.1', 'localhost');
    await browser.look(t, admin, { permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
      const docker = page.locator('#client-list details').first();
      await docker.locator('summary').click();
      await docker.getByText(`http://localhost:${port}`).first().waitFor();
      t.equal(await page.locator('#address').inputValue(), `http://localhost:${port}`);
      await page.locator('#address-note').getByText('listens there alone').waitFor();
      t.match(await docker.innerText(), /^Docker/);
      const first = docker.locator('.snippet').first();
      await first.getByRole('button', { name: /^Copy .* for Docker/ }).click();
      await page.locator('#announcements').getByText('Copied').waitFor({ state: 'attached' });
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      t.equal(copied, await first.locator('pre').textContent());
      t.match(copied, `http://localhost:${port}`);
      await page.locator('#address').fill('mirror.example:5000');
      await docker.getByText('http://mirror.example:5000').first().waitFor();
      t.ok((await docker.getAttribute('open')) !== null, 'what was opened stays open');
      await page.locator('#address-note').getByText('Set listen: 0.0.0.0').waitFor();
      await page.locator('#address').fill('no address');
      await page.locator('#address-note').getByText('This is no address').waitFor();
      t.equal(await page.locator('#address').getAttribute('aria-invalid'), 'true');
    });
  });

  t.test('where there is no clipboard, what is to be copied is selected', async (t) => {
    const { mirror } = await start(t);
    const before = (page: import('playwright-core').Page) =>
      page.addInitScript(() => {
        Object.defineProperty(navigator, 'clipboard', { value: undefined });
        document.execCommand = () => false;
      });
    await browser.look(t, mirror.admin, { before }, async (page) => {
      const docker = page.locator('#client-list details').first();
      await docker.locator('summary').click();
      const first = docker.locator('.snippet').first();
      await first.getByRole('button', { name: /^Copy/ }).click();
      await docker.getByText('Selected: press Ctrl+C').waitFor();
      const selected = await page.evaluate(() => String(getSelection()));
      t.equal(selected.trim(), (await first.locator('pre').textContent())?.trim());
      t.ok(selected.length > 20);
    });
  });
}
