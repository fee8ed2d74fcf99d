import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { PinStatus } from '../../src/airgap/commands.ts';
import { run } from '../helpers/command.ts';
import { imageOf, indexOf, KIB, MIB } from '../helpers/content.ts';
import { all, controlOf, endOf, prewarmOf } from '../helpers/control.ts';
import { type MirrorSettings, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

const HOST = 'registry.test';
const app = imageOf('app', [700 * KIB, 500 * KIB]);
const base = indexOf({ amd64: imageOf('base for amd64', [200 * KIB]), arm64: imageOf('for arm64', [KIB]) });
const NAMES = [`${HOST}/team/app:v1`, `${HOST}/team/app:latest`, `${HOST}/team/base@${base.manifest.digest}`];

async function start(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', app, 'v1');
  registry.push('team/app', app, 'latest');
  registry.push('team/base', base, 'v1');
  const settings: MirrorSettings = { upstreams: { [HOST]: { at: registry } }, maxBytes: 3 * MIB };
  const mirror = await startMirror(t, settings);
  const control = await controlOf(mirror);
  endOf(await all(control.prewarm(prewarmOf(NAMES, { isPinning: true }))), 'report');
  return { registry, settings, mirror, directory: mirror.directory };
}

async function pinsOf(mirror: RunningMirror): Promise<PinStatus[]> {
  const pins: PinStatus[] = [];
  for await (const pin of (await controlOf(mirror)).pins()) pins.push(pin);
  return pins;
}

const logged = (mirror: RunningMirror, text: string): boolean => mirror.logs.join('').includes(text);

for (const loss of ['damaged', 'removed'] as const) {
  t.test(`a catalog that is ${loss}: pinned images are pinned, and served without upstream`, async (t) => {
    const { registry, settings, mirror, directory } = await start(t);
    const before = await pinsOf(mirror);
    await mirror.close();
    const catalog = join(directory, 'v1', 'catalog.db');
    if (loss === 'damaged') writeFileSync(catalog, Buffer.alloc(64 * KIB, 'x'));
    else rmSync(catalog);

    // Whoever opens the directory first, and ends before the images have their names.
    if (loss === 'removed') t.equal((await run('images', '--data', directory)).code, 0);
    const asked = registry.asked.length;
    const next = await startMirror(t, { ...settings, directory, offline: true });
    t.equal(next.status().store.pins, 3, 'from the first moment');
    await until('the images have their names', () => logged(next, 'its pins are known again'), 20);
    t.same(await pinsOf(next), before);
    for (const tag of ['v1', 'latest'])
      t.ok((await next.manifest(`/v2/team/app/manifests/${tag}`)).body.equals(app.manifest.body));
    for (const { digest, body } of [...app.layers, app.config])
      t.ok((await next.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
    t.equal((await next.manifest(`/v2/team/base/manifests/${base.manifest.digest}`)).status, 200);
    const foreign = await next.get(`/v2/team/other/blobs/${app.config.digest}`);
    t.equal(foreign.status, 404, 'for the repository that had it alone');
    t.equal(registry.asked.length, asked);
    t.notOk(existsSync(join(directory, 'v1/pins.jsonl.unnamed')));
  });
}

t.test(
  'what is pinned is not evicted in the meantime, and what is lost with the catalog is fetched',
  async (t) => {
    const { registry, settings, mirror, directory } = await start(t);
    await mirror.close();
    writeFileSync(join(directory, 'v1', 'catalog.db'), Buffer.alloc(64 * KIB, 'x'));
    const [algorithm = '', hex = ''] = (app.layers[0]?.digest ?? '').split(':');
    rmSync(join(directory, 'v1/blobs', algorithm, hex.slice(0, 2), hex));
    const others = imageOf('others', [MIB, MIB, MIB, MIB]).layers;
    for (const other of others) registry.push('team/other', other);

    const next = await startMirror(t, { ...settings, directory });
    for (const { digest } of others) t.equal((await next.get(`/v2/team/other/blobs/${digest}`)).status, 200);
    await until(
      'all that is pinned is here',
      async () => (await pinsOf(next)).every(({ isComplete }) => isComplete),
      20,
    );
    t.equal(registry.count('GET', String(app.layers[0]?.digest)), 2);
    t.equal(registry.count('GET', String(app.layers[1]?.digest)), 1);
    t.equal((await next.manifest('/v2/team/app/manifests/v1')).status, 200);
  },
);

t.test(
  'the copy is as the pins are, a moment after they change; damage in it costs what it says',
  async (t) => {
    const { settings, mirror, directory } = await start(t);
    const copy = join(directory, 'v1', 'pins.jsonl');
    const lines = () => (existsSync(copy) ? readFileSync(copy, 'utf8').trimEnd().split('\n') : []);
    await until('all are in it', () => lines().length === 3, 50);
    await (await controlOf(mirror)).unpin(NAMES.slice(0, 2));
    await until('one is', () => lines().length === 1, 50);
    t.match(lines()[0], base.manifest.digest);
    await mirror.close();
    t.same(
      readdirSync(join(directory, 'v1')).filter((name) => name.startsWith('pins.jsonl.')),
      [],
    );
    writeFileSync(copy, `${lines()[0]}\n{"upstream": "registry.te`);
    rmSync(join(directory, 'v1', 'catalog.db'));
    const next = await startMirror(t, { ...settings, directory });
    t.equal(next.status().store.pins, 1);
    await until('it is said', () => logged(next, 'some lines are damaged'), 20);
  },
);

t.test('an unpinned image does not come back with an orderly catalog', async (t) => {
  const { settings, mirror, directory } = await start(t);
  const copy = join(directory, 'v1', 'pins.jsonl');
  await until('there is a copy', () => existsSync(copy), 50);
  const old = readFileSync(copy);
  await (await controlOf(mirror)).unpin(NAMES);
  await mirror.close();
  writeFileSync(copy, old);
  const next = await startMirror(t, { ...settings, directory });
  t.equal(next.status().store.pins, 0);
});
