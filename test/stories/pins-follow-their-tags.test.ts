import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { PinStatus } from '../../src/airgap/commands.ts';
import { makeClock } from '../helpers/clock.ts';
import { type Content, type Image, imageOf, indexOf, KIB, MIB } from '../helpers/content.ts';
import { all, controlOf, endOf, prewarmOf } from '../helpers/control.ts';
import { scheduleOf, writeList } from '../helpers/image-lists.ts';
import { type MirrorSettings, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { askedTooOften, blobDownloads, failing, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const HOST = 'registry.test';
const NAME = `${HOST}/team/app:latest`;
const PATH = '/v2/team/app/manifests/latest';
const MINUTE_MS = 60_000;
const before = imageOf('before', [700 * KIB, 800 * KIB]);
const after = imageOf('after', [700 * KIB, 900 * KIB]);

async function start(t: Test, settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  registry.push('team/app', before, 'latest');
  const clock = makeClock();
  const base: MirrorSettings = {
    upstreams: { [HOST]: { at: registry, tagTtlMs: 0 } },
    now: clock.now,
    ...settings,
  };
  const mirror = await startMirror(t, base);
  const control = await controlOf(mirror);
  const pin = async (name = NAME): Promise<void> => {
    endOf(await all(control.prewarm(prewarmOf([name], { isPinning: true }))), 'report');
  };
  const pins = async (): Promise<PinStatus[]> => {
    const found: PinStatus[] = [];
    for await (const one of control.pins()) found.push(one);
    return found;
  };
  const pinnedDigest = async (): Promise<string | undefined> => (await pins())[0]?.digest;
  /** Waits while time passes: whatever is due every 30 s has its turn. */
  const inTime = async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
    await until(
      what,
      async () => {
        if (await isSo()) return true;
        clock.pass(31_000);
        return false;
      },
      200,
    );
  };
  const holds = async (image: Image): Promise<boolean> => {
    for (const { digest } of [...image.layers, image.config]) if (!isStored(mirror, digest)) return false;
    return true;
  };
  return { registry, clock, base, mirror, control, pin, pins, pinnedDigest, inTime, holds };
}

function fileOf({ directory }: RunningMirror, digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return join(directory, 'v1/blobs', algorithm, hex.slice(0, 2), hex);
}

function isStored(mirror: RunningMirror, digest: string): boolean {
  try {
    readFileSync(fileOf(mirror, digest));
    return true;
  } catch {
    return false; // there is none
  }
}

const logged = (mirror: RunningMirror, ...parts: string[]): number =>
  mirror.logs.filter((line) => parts.every((part) => line.includes(part))).length;

t.test('a tag that moved is followed before anyone asks for its content', async (t) => {
  const { registry, mirror, pin, pins, pinnedDigest, holds, inTime } = await start(t);
  await pin();
  registry.push('team/app', after, 'latest');
  t.equal((await mirror.manifest(PATH)).headers['docker-content-digest'], after.manifest.digest);
  t.notOk(await holds(after), 'nobody has asked for its layers');
  await inTime('the pin has moved', async () => (await pinnedDigest()) === after.manifest.digest);
  t.ok(await holds(after));
  t.match(await pins(), [{ reference: NAME, isComplete: true, origin: '' }]);
  t.equal(logged(mirror, 'a pinned tag has moved', before.manifest.digest, after.manifest.digest), 1);
  t.ok(mirror.status().store.pinnedBytes < 2 * MIB, 'the old one is let go');
});

t.test(
  'what it was stays pinned until all of what it is now is here, in a store that is nearly full',
  async (t) => {
    // Room for both and for little else.
    const { registry, mirror, pin, pinnedDigest, holds, inTime } = await start(t, { maxBytes: 3.5 * MIB });
    await pin();
    const gate = makeGate();
    t.teardown(gate.open);
    registry.push('team/app', after, 'latest');
    registry.act(only(blobDownloads, stalling(100 * KIB, gate.opened)));
    await mirror.manifest(PATH);
    await inTime('the new one comes', () => mirror.status().fills.length >= 2);
    const other: Content[] = imageOf('other', [600 * KIB, 600 * KIB]).layers;
    for (const blob of other) registry.push('team/app', blob);
    const reading = other.map(({ digest }) => mirror.get(`/v2/team/app/blobs/${digest}`));
    t.equal(await pinnedDigest(), before.manifest.digest);
    t.ok(await holds(before), 'nothing of it had to go');
    gate.open();
    for (const { status } of await Promise.all(reading)) t.equal(status, 200);
    await until('the pin has moved', async () => (await pinnedDigest()) === after.manifest.digest, 20);
    t.ok(await holds(after));
    await mirror.settled();
    t.ok(mirror.status().store.bytes <= 3.5 * MIB);
  },
);

t.test('where both do not fit, the old one stays, and it is said once', async (t) => {
  const { registry, clock, mirror, pin, pinnedDigest, holds } = await start(t, { maxBytes: 2 * MIB });
  await pin();
  registry.push('team/app', after, 'latest');
  await mirror.manifest(PATH);
  const failed = (level: string) =>
    logged(mirror, 'a pin could not be brought up to date', 'MiB', NAME, level);
  for (let n = 1; n <= 4; n++) {
    clock.pass(2 ** n * MINUTE_MS);
    await until('it was tried', () => failed('') === n, 20);
  }
  t.equal(failed('"level":40'), 1);
  t.equal(await pinnedDigest(), before.manifest.digest);
  t.ok(await holds(before));
});

t.test('what is lost of a pin is fetched again, and less and less often where that fails', async (t) => {
  const { registry, clock, base, mirror: first, pin } = await start(t);
  await pin();
  await first.close();
  const [lost] = before.layers;
  if (!lost) throw new Error('no layer');
  rmSync(fileOf(first, lost.digest));
  registry.act(only(blobDownloads, failing(503)));
  const mirror = await startMirror(t, { ...base, directory: first.directory });
  const failed = () => logged(mirror, 'a pin could not be brought up to date');
  await until('it was tried soon after the start', () => failed() > 0, 20);
  registry.act();
  clock.pass(6 * MINUTE_MS);
  await until('it is here again', () => isStored(mirror, lost.digest), 20);
  await until('it is said', () => logged(mirror, 'here again as a whole') === 1, 20);
});

t.test('a pin that a limit holds up holds up no other', async (t) => {
  const limited = await startRegistry(t);
  limited.push('team/app', before, 'latest');
  const { registry, base, mirror, pin, pins, inTime } = await start(t);
  await mirror.reload({
    ...base,
    upstreams: { ...base.upstreams, 'limited.test': { at: limited, tagTtlMs: 0 } },
  });
  const names = ['limited.test/team/app:latest', NAME];
  for (const name of names) await pin(name);
  for (const one of [limited, registry]) one.push('team/app', after, 'latest');
  for (const path of ['/v2/limited.test/team/app/manifests/latest', PATH]) await mirror.manifest(path);
  limited.act(askedTooOften({ 'retry-after': '21600' }));
  const digests = async (): Promise<string[]> => (await pins()).map(({ digest }) => digest);
  await inTime('the other is followed', async () => (await digests())[1] === after.manifest.digest);
  t.same(await digests(), [before.manifest.digest, after.manifest.digest]);
});

t.test('a tag that moved to less than is pinned is not followed before the rest is there', async (t) => {
  const { registry, mirror, control, pins, inTime } = await start(t);
  const first = indexOf({ amd64: imageOf('a1', [KIB]), arm64: imageOf('a2', [KIB]) });
  const less = indexOf({ amd64: imageOf('a3', [KIB]) });
  const last = indexOf({ amd64: imageOf('a3', [KIB]), arm64: imageOf('a4', [KIB]) });
  registry.push('team/app', first, 'latest');
  const platforms = ['linux/amd64', 'linux/arm64'];
  await all(control.prewarm(prewarmOf([NAME], { isPinning: true, platforms })));
  registry.push('team/app', less, 'latest');
  await mirror.manifest(PATH);
  await inTime('it is said', () => logged(mirror, 'could not be brought up to date', 'linux/arm64') > 0);
  t.match(await pins(), [{ digest: first.manifest.digest, platforms, isComplete: true }]);
  registry.push('team/app', last, 'latest');
  await inTime('it is followed', async () => (await pins())[0]?.digest === last.manifest.digest);
  t.match(await pins(), [{ platforms, isComplete: true }]);
});

t.test('a pin by digest never moves', async (t) => {
  const { registry, clock, mirror, pin, pins } = await start(t);
  await pin(`${HOST}/team/app@${before.manifest.digest}`);
  await pin();
  registry.push('team/app', after, 'latest');
  await mirror.manifest(PATH);
  clock.pass(31_000);
  const digests = async () => new Map((await pins()).map(({ reference, digest }) => [reference, digest]));
  await until('the tag has moved', async () => (await digests()).get(NAME) === after.manifest.digest, 20);
  t.equal((await digests()).get(`${HOST}/team/app@${before.manifest.digest}`), before.manifest.digest);
});

t.test('offline nothing is followed; an image that becomes an index is pinned with all of it', async (t) => {
  const { registry, clock, base, mirror, pin, pins, pinnedDigest, holds } = await start(t);
  await pin();
  const index = indexOf({ amd64: after, arm64: imageOf('after for arm64', [100 * KIB]) });
  registry.push('team/app', index, 'latest');
  await mirror.manifest(PATH);
  const asked = registry.asked.length;
  // Between what two lists are told in turn, all that goes on by itself has had its own.
  for (const [n, name] of ['first', 'second', 'third'].entries()) {
    const list = writeList(mirror.directory, name, NAME);
    await mirror.reload({ ...base, offline: true, prewarm: [scheduleOf(list)] });
    clock.pass(10 * MINUTE_MS);
    const said = () => logged(mirror, 'runs when hubcap is online again');
    await until('a list is told to wait', () => said() === n + 1, 20);
  }
  t.equal(registry.asked.length, asked);
  t.equal(await pinnedDigest(), before.manifest.digest);
  await mirror.reload(base);
  await until('the pin has moved', async () => (await pinnedDigest()) === index.manifest.digest, 20);
  t.ok(await holds(after));
  t.match(await pins(), [{ platforms: 'all', isComplete: true }]);
});

t.test('who unpins while it is followed has unpinned', async (t) => {
  const { registry, mirror, control, pin, pins, inTime } = await start(t);
  await pin();
  const gate = makeGate();
  t.teardown(gate.open);
  registry.push('team/app', after, 'latest');
  registry.act(only(blobDownloads, stalling(100 * KIB, gate.opened)));
  await mirror.manifest(PATH);
  await inTime('the new one comes', () => mirror.status().fills.length >= 2);
  await control.unpin([NAME]);
  gate.open();
  await mirror.settled();
  await until('nothing is held any more', () => mirror.status().store.pinnedBytes === 0, 20);
  t.same(await pins(), []);
});

t.test('more pinned than a smaller budget holds is kept, and said once', async (t) => {
  const { mirror, base, pin, holds } = await start(t);
  await pin();
  await mirror.reload({ ...base, maxBytes: MIB });
  const said = () => logged(mirror, 'more is pinned than the budget holds', `"maxBytes":${MIB}`);
  t.setTimeout(40_000);
  const deadline = performance.now() + 25_000;
  while (said() === 0 && performance.now() < deadline) await mirror.reached();
  t.equal(said(), 1);
  t.ok(await holds(before));
});
