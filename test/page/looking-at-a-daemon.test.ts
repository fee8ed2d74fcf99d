import t, { type Test } from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { blobOf, imageOf, indexOf, KIB, MIB } from '../helpers/content.ts';
import { calls, failDisk } from '../helpers/disk-faults.ts';
import { scheduleOf, writeList } from '../helpers/image-lists.ts';
import { type MirrorSettings, makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { askedTooOften, blobDownloads, only, paced, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const HOST = 'registry.test';
const app = imageOf('app', [40 * KIB, 60 * KIB]);
const both = indexOf({ amd64: imageOf('for amd64', [10 * KIB]), arm64: imageOf('for arm64', [50 * KIB]) });
const browser = await startChromium(t);

async function start(t: Test, settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  registry.push('team/app', app, 'v1');
  registry.push('team/both', both, 'latest');
  const mirror = await startMirror(t, { upstreams: { [HOST]: { at: registry, tagTtlMs: 0 } }, ...settings });
  return { registry, mirror };
}

/** All of an image, as a client pulls it. */
async function pull(mirror: RunningMirror): Promise<void> {
  await mirror.manifest('/v2/team/app/manifests/v1');
  for (const { digest } of [app.config, ...app.layers]) await mirror.get(`/v2/team/app/blobs/${digest}`);
}

if (browser) {
  t.test('an empty hubcap says what is there, and how it begins', async (t) => {
    const { mirror } = await start(t);
    await browser.look(t, mirror.admin, {}, async (page) => {
      await page.locator('#state').getByText('serving').waitFor();
      await page.locator('#images').getByText('No image is here yet').waitFor();
      await page.locator('#misses').getByText('Nothing is missed').waitFor();
      await page.locator('#downloads').getByText('No download runs').waitFor();
      t.equal(await page.title(), 'hubcap');
      t.match(await page.locator('#identity').innerText(), /version 0\.0\.0-test/);
      t.match(await page.locator('.tile').allInnerTexts(), [
        /Hit rate\n+–/,
        /Served\n+0B/,
        /Saved\n+0B/,
        /Store\n+0B/,
        /Downloads\n+0/,
        /Missed\n+0/,
      ]);
      t.match(await page.locator('#upstream-list').innerText(), /registry\.test\s+default\s+●?\s*up/);
      await page.locator('#chart-requests canvas').waitFor();
      t.equal(await page.locator('#notices .notice').count(), 0);
      t.notOk(await page.locator('#prewarm').isVisible());
    });
  });

  t.test('what is pulled is counted, listed and found again', async (t) => {
    const { mirror } = await start(t);
    await pull(mirror);
    await pull(mirror);
    await mirror.settled();
    await browser.look(t, mirror.admin, {}, async (page) => {
      const row = page.locator('#image-list tbody tr');
      await row.waitFor();
      t.match(await row.innerText(), /registry\.test\/team\/app:v1\s+sha256:[\da-f]{12}/);
      t.match(await row.innerText(), /complete/);
      const { totals } = mirror.status();
      const served = totals ? totals.servedBytes.store + totals.servedBytes.fill : 0;
      t.ok(served > 200 * KIB);
      t.match(await page.locator('.tile').allInnerTexts(), [
        /Hit rate\n+50 %\n+of 8 requests\n+last hour 50 %/,
        /Served\n+20\d(\.\d)?KiB/,
        /Saved\n+\d+(\.\d)?KiB/,
        /Store\n+\d+/,
      ]);
      t.match(
        await page.locator('#chart-requests [role=img]').getAttribute('aria-label'),
        /4 from here, 4 fetched, 0 failed/,
      );
      await page.getByText('The last hour as a table').click();
      t.match(await page.locator('#hour-table tbody tr').first().innerText(), /50 %\s+4\s+0\s+4\s+0/);
      await mirror.manifest('/v2/team/both/manifests/latest');
      await page.locator('#image-list').getByText('0 of 2 platforms').waitFor({ timeout: 15_000 });
      t.match(await row.nth(1).innerText(), /team\/both:latest/, 'what came meanwhile shows up by itself');
    });
  });

  t.test('downloads that run, with progress and readers', async (t) => {
    const { registry, mirror } = await start(t);
    const layer = blobOf(8 * MIB, 'slow');
    registry.push('team/app', layer);
    const lifted = makeGate();
    t.teardown(lifted.open);
    registry.act(only(blobDownloads, paced(512 * KIB, lifted.opened)));
    const readers = await Promise.all([1, 2, 3].map(() => mirror.open(`/v2/team/app/blobs/${layer.digest}`)));
    await browser.look(t, mirror.admin, {}, async (page) => {
      const fill = page.locator('.downloads li');
      await fill.getByText('3 readers').waitFor();
      t.match(await fill.innerText(), /registry\.test\/team\/app\s+sha256:[\da-f]{12}/);
      const progress = fill.locator('progress');
      const valueNow = async (): Promise<number> => Number(await progress.getAttribute('value'));
      const before = await valueNow();
      t.equal(await progress.getAttribute('max'), String(8 * MIB));
      await until('there is progress', async () => (await valueNow()) > before, 50);
      await fill.getByText(/KiB\/s · .* left/).waitFor();
      t.match(await page.locator('.tile', { hasText: 'Downloads' }).innerText(), /1\n+running\n+3 readers/);
      lifted.open();
      await page.locator('#downloads').getByText('No download runs').waitFor();
      for (const { ended } of readers) t.equal((await ended).body.length, 8 * MIB);
    });
  });

  t.test('a download that stands still says so', async (t) => {
    const { registry, mirror } = await start(t);
    const layer = blobOf(2 * MIB, 'stalled');
    registry.push('team/app', layer);
    const gate = makeGate();
    t.teardown(gate.open);
    registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
    const reader = await mirror.open(`/v2/team/app/blobs/${layer.digest}`);
    await browser.look(t, mirror.admin, {}, async (page) => {
      await page.locator('.downloads').getByText('1MiB of 2MiB · 50 % · waiting · 1 reader').waitFor();
      gate.open();
      await page.locator('#downloads').getByText('No download runs').waitFor();
    });
    t.ok((await reader.ended).isComplete);
  });

  t.test('an upstream that is down, what it means, and what was missed', async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', app, 'v1');
    const upstream = { at: registry, tagTtlMs: 0, timeouts: { probeMs: 600_000 } };
    const mirror = await startMirror(t, { upstreams: { [HOST]: upstream } });
    await pull(mirror);
    await registry.close();
    t.equal((await mirror.manifest('/v2/team/app/manifests/v1')).status, 200);
    await mirror.manifest('/v2/team/other/manifests/v9');
    await until('it is known to be down', () => mirror.status().upstreams[0]?.endpoints[0]?.state === 'down');
    await browser.look(t, mirror.admin, {}, async (page) => {
      const notice = page.locator('#notices .notice.bad');
      await notice.getByText(`${HOST}: down`).waitFor();
      t.match(
        await notice.innerText(),
        /refuses connections.*What is here is served.*tries again by itself/s,
      );
      t.match(await page.title(), /1 problem/);
      t.match(await page.locator('#upstream-list').innerText(), /down\n.*it refuses connections/s);
      t.match(await page.locator('#chart-requests [role=img]').getAttribute('aria-label'), /1 unconfirmed/);
      await page.locator('#miss-list tbody tr').getByText('team/other').waitFor({ timeout: 15_000 });
      t.match(
        await page.locator('#miss-list tbody tr').innerText(),
        /:v9.*upstream could not be reached: connection refused/s,
      );
    });
  });

  t.test('an upstream that limits requests, until when', async (t) => {
    const { registry, mirror } = await start(t);
    registry.act(askedTooOften({ 'retry-after': '3000' }));
    t.equal((await mirror.manifest('/v2/team/app/manifests/v1')).status, 429);
    await browser.look(t, mirror.admin, {}, async (page) => {
      await page.locator('#notices').getByText(`${HOST}: resting`).waitFor();
      t.match(
        await page.locator('#upstream-list').innerText(),
        /asked again at \d\d:\d\d:\d\d \(in (50m|49m\d+s)\)/,
      );
      await page
        .locator('#miss-list')
        .getByText('upstream limits requests or pulls')
        .waitFor({ timeout: 15_000 });
    });
  });

  t.test('offline, and how it ends', async (t) => {
    const { mirror } = await start(t, { offline: true });
    await mirror.manifest('/v2/team/app/manifests/v1');
    await browser.look(t, mirror.admin, {}, async (page) => {
      await page.locator('#notices .notice.off').getByText('hubcap offline off').waitFor();
      t.match(await page.locator('#state').innerText(), /offline/);
      t.match(await page.locator('#upstream-list').innerText(), /not asked/);
      await page.locator('#miss-list').getByText('hubcap was offline').waitFor({ timeout: 15_000 });
    });
  });

  t.test('a disk that refuses, and that works again', async (t) => {
    const { mirror } = await start(t);
    const fault = failDisk(t, mirror.directory, 'ENOSPC', { matches: calls('write writeFile mkdir') });
    await pull(mirror);
    await browser.look(t, mirror.admin, {}, async (page) => {
      const notice = page.locator('#notices .notice.bad');
      await notice.getByText('The disk refuses: nothing new is stored').waitFor();
      await notice.getByText('ENOSPC').waitFor();
      t.match(await notice.locator('code').innerText(), `df -h ${mirror.directory}`);
      fault.lift();
      await notice.waitFor({ state: 'detached', timeout: 30_000 });
      await page.locator('#state').getByText('serving').waitFor();
    });
  });

  t.test('schedules', async (t) => {
    const list = writeList(await makeDirectory(t), 'images.txt', `${HOST}/team/app:v1`);
    const { mirror } = await start(t, { prewarm: [scheduleOf(list)] });
    await browser.look(t, mirror.admin, {}, async (page) => {
      await page.locator('#schedule-list').getByText('1 of 1 image').waitFor();
      t.match(await page.locator('#schedule-list').innerText(), /images\.txt\s+pinned.*every 1h, next at/s);
      await page.locator('#image-list').getByText('pinned').waitFor({ timeout: 15_000 });
    });
  });

  t.test('who may not hear names is told why, asks for none, and hears them when that changes', async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', app, 'v1');
    const settings: MirrorSettings = { upstreams: { [HOST]: { at: registry } }, adminNames: 'nobody' };
    const mirror = await startMirror(t, settings);
    await pull(mirror);
    await browser.look(t, mirror.admin, {}, async (page) => {
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      for (const section of ['#images', '#misses'])
        await page.locator(section).getByText('adminNames: everyone').waitFor();
      t.notOk(await page.locator('#search').isVisible());
      t.notMatch(await page.locator('body').innerText(), /team\/app/);
      await page.waitForResponse(/api\/status/);
      t.notMatch(asked.join('\n'), /api\/(images|misses)/);
      await mirror.reload({ ...settings, adminNames: 'loopback' });
      await page.locator('#image-list').getByText('team/app').waitFor();
    });
  });

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
