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

/** The time of a daemon that can be hastened: for a few seconds it tells the images that it has read. */
function makeClock() {
  const clock = { aheadMs: 0, now: () => Date.now() + clock.aheadMs };
  return clock;
}

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
        /Hit rate since start\n+–/,
        /Served since start\n+0B/,
        /Saved since start\n+0B/,
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
    const clock = makeClock();
    const { mirror } = await start(t, { now: clock.now });
    await pull(mirror);
    await pull(mirror);
    await mirror.settled();
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      const row = page.locator('#image-list tbody tr');
      await row.waitFor();
      t.match(await row.innerText(), /registry\.test\/team\/app:v1\s+sha256:[\da-f]{12}/);
      t.match(await row.innerText(), /complete/);
      const { totals } = mirror.status();
      const served = totals ? totals.servedBytes.store + totals.servedBytes.fill : 0;
      t.ok(served > 200 * KIB);
      t.match(await page.locator('.tile').allInnerTexts(), [
        /Hit rate since start\n+50 %\n+of 8 requests\n+last hour 50 %/,
        /Served since start\n+20\d(\.\d)?KiB/,
        /Saved since start\n+\d+(\.\d)?KiB/,
        /Store\n+\d+/,
      ]);
      t.match(
        await page.locator('#chart-requests [role=img]').getAttribute('aria-label'),
        /4 from here, 4 fetched, 0 failed/,
      );
      await page.getByText('The last hour as a table').click();
      t.match(await page.locator('#hour-table tbody tr').first().innerText(), /50 %\s+4\s+0\s+4\s+0/);
      await mirror.manifest('/v2/team/both/manifests/latest');
      clock.aheadMs += 10_000;
      await soon(page.locator('#image-list').getByText('0 of 2 platforms'));
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
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      const fill = page.locator('.downloads li');
      await soon(fill.getByText('3 readers'));
      t.match(await fill.innerText(), /registry\.test\/team\/app\s+sha256:[\da-f]{12}/);
      const progress = fill.locator('progress');
      const valueNow = async (): Promise<number> => Number(await progress.getAttribute('value'));
      const before = await valueNow();
      t.equal(await progress.getAttribute('max'), String(8 * MIB));
      await soon(async () => (await valueNow()) > before);
      await soon(fill.getByText(/iB\/s · .* left/));
      t.match(await page.locator('.tile', { hasText: 'Downloads' }).innerText(), /1\n+running\n+3 readers/);
      lifted.open();
      await soon(page.locator('#downloads').getByText('No download runs'));
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
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      await soon(page.locator('.downloads').getByText('1MiB of 2MiB · 50 % · waiting · 1 reader'));
      gate.open();
      await soon(page.locator('#downloads').getByText('No download runs'));
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
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      const notice = page.locator('#notices .notice.bad');
      await notice.getByText(`${HOST}: down`).waitFor();
      t.match(
        await notice.innerText(),
        /refuses connections.*What is here is served.*tries again by itself/s,
      );
      t.match(await page.title(), /1 problem/);
      t.match(await page.locator('#upstream-list').innerText(), /down\n.*it refuses connections/s);
      t.match(await page.locator('#chart-requests [role=img]').getAttribute('aria-label'), /1 unconfirmed/);
      await soon(page.locator('#miss-list tbody tr').getByText('team/other'));
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
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      await page.locator('#notices').getByText(`${HOST}: resting`).waitFor();
      t.match(
        await page.locator('#upstream-list').innerText(),
        /asked again at \d\d:\d\d:\d\d \(in (50m|49m\d+s)\)/,
      );
      await soon(page.locator('#miss-list').getByText('upstream limits requests or pulls'));
    });
  });

  t.test('offline, and how it ends', async (t) => {
    const { mirror } = await start(t, { offline: true });
    await mirror.manifest('/v2/team/app/manifests/v1');
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      await page.locator('#notices .notice.off').getByText('hubcap offline off').waitFor();
      t.match(await page.locator('#state').innerText(), /offline/);
      t.match(await page.locator('#upstream-list').innerText(), /not asked/);
      await soon(page.locator('#miss-list').getByText('hubcap was offline'));
    });
  });

  t.test('a disk that refuses, and that works again', async (t) => {
    const { mirror } = await start(t);
    const fault = failDisk(t, mirror.directory, 'ENOSPC', { matches: calls('write writeFile mkdir') });
    await pull(mirror);
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      const notice = page.locator('#notices .notice.bad');
      await notice.getByText('The disk refuses: nothing new is stored').waitFor();
      await notice.getByText('ENOSPC').waitFor();
      t.match(await notice.locator('code').innerText(), `df -h ${mirror.directory}`);
      fault.lift();
      await soon(async () => (await notice.count()) === 0);
      await soon(page.locator('#state').getByText('serving'));
    });
  });

  t.test('schedules', async (t) => {
    const list = writeList(await makeDirectory(t), 'images.txt', `${HOST}/team/app:v1`);
    const clock = makeClock();
    const { mirror } = await start(t, { prewarm: [scheduleOf(list)], now: clock.now });
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      await soon(page.locator('#schedule-list').getByText('1 of 1 image'));
      t.match(await page.locator('#schedule-list').innerText(), /images\.txt\s+pinned.*every 1h, next at/s);
      clock.aheadMs += 10_000;
      await soon(page.locator('#image-list').getByText('pinned'));
    });
  });

  t.test('who may not hear names is told why, asks for none, and hears them when that changes', async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', app, 'v1');
    const settings: MirrorSettings = { upstreams: { [HOST]: { at: registry } }, adminNames: 'nobody' };
    const mirror = await startMirror(t, settings);
    await pull(mirror);
    await browser.look(t, mirror.admin, { isHastened: true }, async (page, soon) => {
      const asked: string[] = [];
      page.on('request', (request) => asked.push(request.url()));
      for (const section of ['#images', '#misses'])
        await page.locator(section).getByText('adminNames: everyone').waitFor();
      t.notOk(await page.locator('#search').isVisible());
      t.notMatch(await page.locator('body').innerText(), /team\/app/);
      await soon(async () => asked.some((url) => url.endsWith('api/status')));
      t.notMatch(asked.join('\n'), /api\/(images|misses)/);
      await mirror.reload({ ...settings, adminNames: 'loopback' });
      await soon(page.locator('#image-list').getByText('team/app'));
    });
  });
}
