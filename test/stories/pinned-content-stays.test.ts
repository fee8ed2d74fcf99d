/** What is pinned is never evicted: not while it comes, not under other traffic, not where the budget becomes smaller. */
import t from 'tap';
import { blobOf, type Image, imageOf, imageWith, KIB, MIB } from '../helpers/content.ts';
import { all, controlOf, endOf, prewarmOf } from '../helpers/control.ts';
import { type MirrorSettings, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, paced } from '../helpers/personas.ts';
import { contentOf, startRegistry } from '../helpers/registry.ts';

const others = Array.from({ length: 30 }, (_, n) => blobOf(150 * KIB, `other/${n}`));

t.test('under much other traffic, while it comes and afterwards', async (t) => {
  const registry = await startRegistry(t);
  const app = imageOf('pinned/app', [200 * KIB, 100 * KIB, 100 * KIB, 50 * KIB]);
  registry.push('team/app', app, '1');
  for (const blob of others) registry.push('team/other', blob);
  registry.act(only(({ path }) => path.includes('team/app/blobs'), paced(600 * KIB)));
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, maxBytes: 800 * KIB });
  const control = await controlOf(mirror);
  let isOver = false;
  const traffic = (async () => {
    for (let n = 0; !isOver || n < others.length; n++) {
      const blob = others[n % others.length] ?? others[0];
      const answer = await mirror.get(`/v2/team/other/blobs/${blob?.digest}`);
      if (!answer.body.equals(blob?.body ?? Buffer.alloc(0)))
        throw new Error(`${blob?.digest}: ${answer.status}`);
    }
  })();
  const report = endOf(await all(control.prewarm(prewarmOf(['team/app:1'], { isPinning: true }))), 'report');
  isOver = true;
  await traffic;
  t.same(report.failures, []);
  for (const { digest } of [app.config, ...app.layers])
    t.equal(
      registry.asked.filter((one) => blobDownloads(one) && one.path.endsWith(digest)).length,
      1,
      'fetched once',
    );
  await control.offline(true);
  for (const { digest, body } of [app.config, ...app.layers])
    t.ok((await mirror.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
  t.ok(mirror.status().store.bytes <= 800 * KIB);
});

t.test('a store that is full of pins serves what it cannot keep', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('full', [480 * KIB]), '1');
  for (const blob of others) registry.push('team/other', blob);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, maxBytes: 512 * KIB });
  const control = await controlOf(mirror);
  t.same(
    endOf(await all(control.prewarm(prewarmOf(['team/app:1'], { isPinning: true }))), 'report').failures,
    [],
  );
  const before = mirror.status().store.objects;
  for (const { digest, body } of others.slice(0, 3)) {
    const answer = await mirror.get(`/v2/team/other/blobs/${digest}`);
    t.ok(answer.body.equals(body));
  }
  await mirror.settled();
  t.equal(mirror.status().store.objects, before, 'and nothing was evicted for them');
});

t.test('over a budget that became smaller, and after a start', async (t) => {
  const registry = await startRegistry(t);
  const [app, loose] = [imageOf('smaller', [600 * KIB]), imageOf('loose', [200 * KIB])];
  registry.push('team/app', app, '1');
  registry.push('team/loose', loose, '1');
  const settings: MirrorSettings = { upstreams: { 'docker.io': { at: registry } }, maxBytes: MIB };
  const mirror = await startMirror(t, settings);
  const control = await controlOf(mirror);
  await all(control.prewarm(prewarmOf(['team/app:1'], { isPinning: true })));
  await all(control.prewarm(prewarmOf(['team/loose:1'])));
  await mirror.reload({ ...settings, maxBytes: 400 * KIB });
  t.ok((await mirror.get(`/v2/team/loose/blobs/${loose.layers[0]?.digest}`)).isComplete);
  const refused = control.pin({ references: ['team/loose:1'], platforms: undefined, withReferrers: false });
  await t.rejects(refused, /400KiB|not here|not in the store/);
  await mirror.close();
  const again = await startMirror(t, {
    ...settings,
    maxBytes: 400 * KIB,
    directory: mirror.directory,
    offline: true,
  });
  for (const { digest, body } of [app.config, ...app.layers])
    t.ok((await again.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
});

t.test('when its tag moves, what it was stays until what it is has come as a whole', async (t) => {
  const registry = await startRegistry(t);
  const shared = blobOf(100 * KIB, 'moves/shared');
  const [old, next] = [
    imageWith('moves/1', [shared, blobOf(100 * KIB, 'a')]),
    imageWith('moves/2', [shared, blobOf(100 * KIB, 'b')]),
  ];
  registry.push('team/app', old, '1');
  let laterMs = 0;
  const mirror = await startMirror(t, {
    upstreams: { 'docker.io': { at: registry } },
    now: () => Date.now() + laterMs,
  });
  const control = await controlOf(mirror);
  const request = prewarmOf(['team/app:1'], { isPinning: true });
  await all(control.prewarm(request));
  registry.push('team/app', next, '1');
  laterMs = 3_600_000;
  const broken = next.layers[1]?.digest ?? '';
  registry.act(
    only(
      ({ path }) => path.endsWith(broken),
      () => ({ status: 404 }),
    ),
  );
  t.equal(endOf(await all(control.prewarm(request)), 'report').failures.length, 1);
  t.match(await pinOf(), { digest: old.manifest.digest, isComplete: true });
  registry.act();
  laterMs *= 2;
  t.same(endOf(await all(control.prewarm(request)), 'report').failures, []);
  t.match(await pinOf(), { digest: next.manifest.digest, isComplete: true });
  t.match(await pinOf(), { bytes: bytesOf(next) }, 'and what it was is let go');

  async function pinOf() {
    for await (const pin of control.pins()) return pin;
    return undefined;
  }
});

function bytesOf(image: Image): number {
  return contentOf(image).reduce((sum, { body }) => sum + body.length, 0);
}
