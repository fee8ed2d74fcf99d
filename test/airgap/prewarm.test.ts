/** A list is fetched before anyone asks: once, whole, within limits; and a dry run says what that would take. */
import t from 'tap';
import type { DaemonControl } from '../../src/admin/control-client.ts';
import { DaemonLostError } from '../../src/admin/daemon-lost-error.ts';
import type { PinStatus, PrewarmedImage } from '../../src/airgap/commands.ts';
import { RefusedError } from '../../src/refused-error.ts';
import { blobOf, type Image, imageOf, imageWith, indexOf, KIB } from '../helpers/content.ts';
import { all, controlOf, endOf, prewarmOf } from '../helpers/control.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, manifests, only, outOfPulls, pulls, times } from '../helpers/personas.ts';
import { contentOf, type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const HUB = 'docker.io';

t.test('twenty images that share layers: each blob and manifest leaves upstream once', async (t) => {
  const registry = await startRegistry(t);
  const shared = [blobOf(300 * KIB, 'shared/0'), blobOf(40 * KIB, 'shared/1')];
  const images = Array.from({ length: 20 }, (_, n) =>
    imageWith(`share/${n}`, [...shared, blobOf(9 * KIB, `own/${n}`)]),
  );
  const references = images.map((image, n) => {
    registry.push(`team/app-${n}`, image, 'latest');
    return `team/app-${n}`;
  });
  const [first] = images;
  if (!first) throw new Error('no image');
  registry.push('team/app-0', first, 'same');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  const report = endOf(
    await all(control.prewarm(prewarmOf([...references, 'team/app-0:same'], { concurrency: 8 }))),
    'report',
  );
  t.match(report, { images: { done: 21, failed: 0 }, failures: [], pulls: 20 });
  const contents = images.flatMap(contentOf);
  for (const { digest } of images.flatMap(({ config, layers }) => [config, ...layers]))
    t.equal(sent(registry, digest), 1, digest);
  t.equal(
    registry.asked.filter(pulls).length,
    20,
    'no pull is spent twice, also where two tags are the same',
  );
  const distinct = new Map(contents.map(({ digest, body }) => [digest, body.length]));
  t.equal(
    report.bytes,
    [...distinct.values()].reduce((sum, size) => sum + size, 0),
  );
  t.equal(report.fetchedBytes, report.bytes);
  const again = endOf(await all(control.prewarm(prewarmOf(references))), 'report');
  t.match(again, { images: { done: 20 }, fetchedBytes: 0, pulls: 0, hereBytes: again.bytes });
});

t.test('an index is kept byte for byte, and the platforms that were asked for alone', async (t) => {
  const registry = await startRegistry(t);
  const [amd64, arm64] = [imageOf('index/amd64', [20 * KIB]), imageOf('index/arm64', [20 * KIB])];
  const index = indexOf({ amd64, arm64 });
  registry.push('team/app', index, '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  const told = await all(control.prewarm(prewarmOf(['team/app:1'], { platforms: ['linux/arm64'] })));
  t.match(
    told.find(({ kind }) => kind === 'image'),
    { platforms: ['linux/arm64'], pulls: 2 },
  );
  t.equal(registry.count('GET', amd64.manifest.digest) + registry.count('GET', amd64.config.digest), 0);
  await registry.close();
  t.ok((await mirror.manifest('/v2/team/app/manifests/1')).body.equals(index.manifest.body));
  for (const { digest, body } of [arm64.config, ...arm64.layers])
    t.ok((await mirror.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
});

t.test('a platform that an index does not have is a failure; what it has is kept', async (t) => {
  const registry = await startRegistry(t);
  const amd64 = imageOf('lacking/amd64', [20 * KIB]);
  registry.push('team/app', indexOf({ amd64 }), '1');
  registry.push('team/other', imageOf('lacking/other', [KIB]), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  const platforms = ['linux/amd64', 'linux/s390x'];
  for (const isDryRun of [true, false]) {
    const request = prewarmOf(['team/app:1', 'team/other:1', 'team/none:1', 'nowhere.test/a'], {
      platforms,
      isDryRun,
    });
    const report = endOf(await all(control.prewarm(request)), 'report');
    t.match(report, { images: { done: 1, failed: 3, total: 4 } });
    const messages = report.failures.map(({ message }) => message).join('\n');
    t.match(messages, /team\/app:1 has no linux\/s390x: it has linux\/amd64/);
    t.match(messages, /nowhere\.test is no upstream/);
    t.match(messages, /team\/none:1/);
  }
  for (const { digest } of [amd64.config, ...amd64.layers]) t.equal(sent(registry, digest), 1);
});

t.test(
  'a dry run downloads no layer, and says what is here, what would come, and whether it fits',
  async (t) => {
    const registry = await startRegistry(t);
    const [app, here] = [imageOf('dry/app', [200 * KIB, 10 * KIB]), imageOf('dry/here', [30 * KIB])];
    registry.push('team/app', app, '1');
    registry.push('team/here', here, '1');
    const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } }, maxBytes: 256 * KIB });
    const control = await controlOf(mirror);
    await all(control.prewarm(prewarmOf(['team/here:1'])));
    const before = registry.asked.filter(blobDownloads).length;
    const dry = prewarmOf(['team/here:1', 'team/app:1'], { isDryRun: true });
    const told = await all(control.prewarm(dry));
    t.equal(registry.asked.filter(blobDownloads).length, before);
    const report = endOf(told, 'report');
    const images = told.filter((event) => event.kind === 'image') as unknown as PrewarmedImage[];
    const bytesOf = (image: Image): number =>
      contentOf(image).reduce((sum, { body }) => sum + body.length, 0);
    const one = images.find(({ reference }) => reference.includes('app'));
    t.match(one, { bytes: bytesOf(app), isPinned: false, pulls: 1 });
    t.equal(one?.fetchedBytes, bytesOf(app), 'all of it');
    t.equal(report.bytes, bytesOf(app) + bytesOf(here));
    t.equal(report.hereBytes, bytesOf(here));
    t.equal(report.fetchedBytes, bytesOf(app));
    t.match(report.forecast, {
      unknownImages: 0,
      pullsNeeded: 0,
      hasPulls: true,
      maxBytes: 256 * KIB,
      hasRoom: false,
    });
    t.ok((report.forecast?.neededBytes ?? 0) > report.bytes);
  },
);

t.test('a dry run at a limit says what it could not look at', async (t) => {
  const registry = await startRegistry(t);
  const index = indexOf({ amd64: imageOf('unknown/amd64', [KIB]), arm64: imageOf('unknown/arm64', [KIB]) });
  registry.push('team/index', index, '1');
  registry.push('team/app', imageOf('unknown/app', [KIB]), '1');
  const platforms = ['linux/amd64', 'linux/arm64'];
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  await all(control.prewarm(prewarmOf(['team/index:1'], { isDryRun: true, platforms: ['linux/amd64'] })));
  registry.act(only(pulls, outOfPulls({ 'retry-after': '600' })));
  const told = await all(
    control.prewarm(prewarmOf(['team/index:1', 'team/app:1'], { isDryRun: true, platforms })),
  );
  const report = endOf(told, 'report');
  t.match(report, { failures: [], forecast: { unknownImages: 2, pullsNeeded: 2 } });
  t.equal(told.filter(({ kind }) => kind === 'note').length, 2);
});

t.test('a dry run counts what is left at each registry, without what is kept for clients', async (t) => {
  const [limited, other] = [await startRegistry(t), await startRegistry(t)];
  for (const n of [1, 2, 3]) limited.push(`team/app-${n}`, imageOf(`counted/${n}`, [KIB]), '1');
  other.push('team/other', imageOf('counted/other', [KIB]), '1');
  const says = (left: number): Persona => {
    return async (_, answer) => {
      const plain = await answer();
      const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': `${left};w=21600` };
      return { ...plain, headers: { ...plain.headers, ...headers } };
    };
  };
  limited.act(only(manifests, says(11)));
  other.act(only(manifests, says(3)));
  const upstreams = { [HUB]: { at: limited, reserve: 10 }, 'other.test': { at: other, reserve: 0 } };
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  const first = endOf(
    await all(control.prewarm(prewarmOf(['team/app-1:1', 'other.test/team/other:1']))),
    'report',
  );
  t.equal(first.images.done, 2);
  limited.act(only(pulls, outOfPulls({ 'retry-after': '600' })), only(manifests, says(0)));
  const names = ['team/app-2:1', 'team/app-3:1', 'other.test/team/other:1'];
  const dry = endOf(await all(control.prewarm(prewarmOf(names, { isDryRun: true }))), 'report');
  t.match(dry.forecast, {
    pullsNeeded: 2,
    hasPulls: false,
    limits: [
      { upstream: HUB, pullsNeeded: 2, pullsLeft: 0 },
      { upstream: 'other.test', pullsNeeded: 0, pullsLeft: 3 },
    ],
  });
  t.match(
    dry.forecast?.limits.map(({ accounts }) => accounts.map(({ account, left }) => [account, left])),
    [[['anonymous', 0]], [['anonymous', 3]]],
  );
});

t.test('a limit is waited for, or, where that is not wanted, a failure', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('limit', [KIB]), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  registry.act(only(pulls, times(2, outOfPulls({ 'retry-after': '1' }))));
  const refused = endOf(await all(control.prewarm(prewarmOf(['team/app:1']))), 'report');
  t.match(refused, { images: { failed: 1 }, failures: [{ message: /limit/i }] });
  const told = await all(control.prewarm(prewarmOf(['team/app:1'], { isPatient: true })));
  t.match(endOf(told, 'report'), { images: { done: 1, failed: 0 } });
  const waiting = told.find(({ kind }) => kind === 'waiting');
  t.match(waiting, { reference: 'docker.io/team/app:1', until: /^\d{4}-\d\d-\d\dT/ });
});

t.test('a tag that is known is waited for, too, where upstream does not say what it is', async (t) => {
  let laterMs = 0;
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('known', [KIB]), '1');
  const mirror = await startMirror(t, {
    upstreams: { [HUB]: { at: registry } },
    now: () => Date.now() + laterMs,
  });
  const control = await controlOf(mirror);
  await all(control.prewarm(prewarmOf(['team/app:1'])));
  laterMs = 3_600_000;
  registry.act(only(manifests, times(1, outOfPulls({ 'retry-after': '1' }))));
  const told = await all(control.prewarm(prewarmOf(['team/app:1'], { isPatient: true })));
  t.match(endOf(told, 'report'), { images: { done: 1, failed: 0 }, failures: [] });
  t.ok(told.some(({ kind }) => kind === 'waiting'));
});

t.test('a limit of one registry holds up no image of another', async (t) => {
  const [limited, other] = [await startRegistry(t), await startRegistry(t)];
  const names = [1, 2, 3, 4].map((n) => {
    limited.push(`team/app-${n}`, imageOf(`held up/${n}`, [KIB]), '1');
    return `team/app-${n}:1`;
  });
  other.push('team/other', imageOf('not held up', [KIB]), '1');
  const upstreams = { [HUB]: { at: limited }, 'other.test': { at: other } };
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  limited.act(only(pulls, outOfPulls({ 'retry-after': '600' })));
  const request = prewarmOf([...names, 'other.test/team/other:1'], { isPatient: true, concurrency: 3 });
  const waiting: string[] = [];
  for await (const event of control.prewarm(request)) {
    if (event.kind === 'waiting') waiting.push(event.reference);
    if (event.kind === 'image') {
      t.equal(event.reference, 'other.test/team/other:1');
      break;
    }
  }
  t.equal(waiting.length, 1, 'it is said once');
  t.ok(limited.asked.filter(pulls).length <= 3, 'who is waited for is not asked');
});

t.test('hubcap stops while somebody waits for a limit', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('stopped', [KIB]), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  registry.act(only(pulls, outOfPulls({ 'retry-after': '600' })));
  const isWaited = makeGate();
  const read = (async () => {
    for await (const event of control.prewarm(prewarmOf(['team/app:1'], { isPatient: true })))
      if (event.kind === 'waiting') isWaited.open();
  })();
  const ended = t.rejects(read, DaemonLostError);
  await isWaited.opened;
  const startedMs = Date.now();
  await mirror.close(false);
  t.ok(Date.now() - startedMs < 5_000);
  await ended;
  t.same(
    mirror.logs.filter((line) => line.includes('admin request failed')),
    [],
  );
});

t.test('what is said to be fetched is what upstream has now, however long its word holds', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('word/before', [KIB]), '1');
  const upstreams = { [HUB]: { at: registry, tagTtlMs: 3_600_000 } };
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  await all(control.prewarm(prewarmOf(['team/app:1'])));
  const after = imageOf('word/after', [KIB]);
  registry.push('team/app', after, '1');
  const told = await all(control.prewarm(prewarmOf(['team/app:1'])));
  t.match(
    told.find(({ kind }) => kind === 'image'),
    { digest: after.manifest.digest },
  );
});

t.test('whoever reads no more ends it; what came is not fetched again', async (t) => {
  const registry = await startRegistry(t);
  const images = [1, 2, 3].map((n) => imageOf(`interrupted/${n}`, [80 * KIB, 20 * KIB]));
  for (const [n, image] of images.entries()) registry.push(`team/app-${n}`, image, '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  const request = prewarmOf(['team/app-0:1', 'team/app-1:1', 'team/app-2:1'], {
    concurrency: 1,
    isPinning: true,
  });
  for await (const event of control.prewarm(request)) if (event.kind === 'image') break;
  await mirror.settled();
  const report = endOf(await all(control.prewarm(request)), 'report');
  t.match(report, { images: { done: 3, failed: 0 } });
  for (const { digest } of images.flatMap(({ config, layers }) => [config, ...layers]))
    t.equal(sent(registry, digest), 1);
  t.equal(registry.asked.filter(pulls).length, 3);
});

t.test('what is pinned is refused before a layer is fetched where it does not fit', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/large', imageOf('large', [900 * KIB]), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } }, maxBytes: 512 * KIB });
  const control = await controlOf(mirror);
  const report = endOf(
    await all(control.prewarm(prewarmOf(['team/large:1'], { isPinning: true }))),
    'report',
  );
  t.match(report.failures, [
    { message: /more beside what is pinned would make .*, and the store holds 512KiB/ },
  ]);
  t.equal(registry.asked.filter(blobDownloads).length, 0);
  t.same(await pinsOf(control), []);
});

t.test('content that does not stay is said', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('thrash', [180 * KIB, 180 * KIB, 180 * KIB]), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } }, maxBytes: 400 * KIB });
  const control = await controlOf(mirror);
  const report = endOf(await all(control.prewarm(prewarmOf(['team/app:1']))), 'report');
  t.match(report.failures, [{ message: /storage\.maxSize/ }]);
});

t.test('manifests that push one another out of the store end it', async (t) => {
  const registry = await startRegistry(t);
  const architectures = ['amd64', 'arm64', 'riscv64', 's390x'].map((name) => [
    name,
    imageOf(`push/${name}`, [KIB]),
  ]);
  registry.push('team/app', indexOf(Object.fromEntries(architectures)), '1');
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } }, maxBytes: 12 * KIB });
  const control = await controlOf(mirror);
  const report = endOf(await all(control.prewarm(prewarmOf(['team/app:1'], { platforms: 'all' }))), 'report');
  t.match(report.failures, [{ message: /storage\.maxSize/ }]);
  t.ok(registry.asked.filter(pulls).length < 30, 'pulls are not spent for ever');
});

t.test('upstream that is down is said, image by image', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  await registry.close();
  const report = endOf(await all(control.prewarm(prewarmOf(['team/app:1']))), 'report');
  t.match(report, {
    images: { failed: 1 },
    failures: [{ reference: 'team/app:1', message: /cannot be reached/ }],
  });
});

t.test('many layers at once leave no listeners behind', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const registry = await startRegistry(t);
  registry.push(
    'team/app',
    imageOf(
      'many',
      Array.from({ length: 40 }, () => 500),
    ),
    '1',
  );
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  t.match(endOf(await all(control.prewarm(prewarmOf(['team/app:1']))), 'report'), { images: { done: 1 } });
  await new Promise((resolve) => setImmediate(resolve));
  t.same(
    warnings.map(({ message }) => message),
    [],
  );
});

t.test('what is not understood is refused, and nothing begins', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry } } });
  const control = await controlOf(mirror);
  const refused = async (request: object): Promise<void> => {
    await t.rejects(all(control.prewarm({ ...prewarmOf(['a']), ...request })), RefusedError);
  };
  await refused({ images: [] });
  await refused({ concurrency: 0 });
  await refused({ platforms: ['a/b/c/d'] });
  await refused({ platforms: [] });
  await refused({ images: [{ reference: 'a', platforms: [] }] });
  await control.offline(true);
  await t.rejects(all(control.prewarm(prewarmOf(['a']))), RefusedError);
  t.equal(registry.asked.length, 0);
});

t.test('what comes by credentials is here, and who is refused it is told', async (t) => {
  const registry = await startRegistry(t);
  const app = imageOf('private', [KIB]);
  registry.push('team/app', app, '1');
  registry.act((asked, answer) =>
    asked.headers.authorization
      ? answer()
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="registry"' } },
  );
  const credentials = [{ username: 'someone', password: 'secret' }];
  const mirror = await startMirror(t, { upstreams: { [HUB]: { at: registry, credentials } as never } });
  const control = await controlOf(mirror);
  const told = await all(control.prewarm(prewarmOf(['team/app:1'], { isPinning: true })));
  t.match(endOf(told, 'report'), { images: { done: 1, failed: 0 } });
  t.match(
    told.find(({ kind }) => kind === 'note'),
    { message: /clients are refused it/ },
  );
  t.ok((await mirror.manifest('/v2/team/app/manifests/1')).status >= 400);
  t.ok((await mirror.get(`/v2/team/app/blobs/${app.config.digest}`)).status >= 400);
});

/** How often it left upstream, as a whole. */
function sent({ asked }: Registry, digest: string): number {
  return asked.filter(({ method, path }) => method === 'GET' && path.endsWith(digest)).length;
}

async function pinsOf(control: DaemonControl): Promise<PinStatus[]> {
  const pins: PinStatus[] = [];
  for await (const pin of control.pins()) pins.push(pin);
  return pins;
}
