import { rmSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { ScheduleStatus } from '../../src/airgap/commands.ts';
import { fetch } from '../helpers/client.ts';
import { makeClock } from '../helpers/clock.ts';
import { imageOf, indexOf, KIB } from '../helpers/content.ts';
import { HOUR_MS, scheduleOf, writeList } from '../helpers/image-lists.ts';
import { type MirrorSettings, makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, outOfPulls, pulls, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const HOST = 'registry.test';
const one = imageOf('one', [30 * KIB, 20 * KIB]);
const two = imageOf('two', [40 * KIB]);
const both = indexOf({ amd64: imageOf('for amd64', [10 * KIB]), arm64: imageOf('for arm64', [50 * KIB]) });

async function start(t: Test, lines: string[], settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  registry.push('team/one', one, 'v1');
  registry.push('team/two', two, 'v1');
  registry.push('team/both', both, 'v1');
  const home = await makeDirectory(t);
  const list = writeList(home, 'images.txt', ...lines);
  const clock = makeClock();
  const base: MirrorSettings = {
    upstreams: { [HOST]: { at: registry, tagTtlMs: 60_000 } },
    prewarm: [scheduleOf(list)],
    now: clock.now,
    ...settings,
  };
  const mirror = await startMirror(t, base);
  /** Waits for the end of a run that is due by then. */
  const run = async (afterMs: number, path = list.path): Promise<NonNullable<ScheduleStatus['last']>> => {
    const before = scheduleIn(mirror, path)?.last?.endedAt;
    clock.pass(afterMs);
    await until('a run has ended', () => (scheduleIn(mirror, path)?.last?.endedAt ?? before) !== before, 20);
    const last = scheduleIn(mirror, path)?.last;
    if (!last) throw new Error('there was no run');
    return last;
  };
  return { registry, home, list, clock, mirror, base, run };
}

function scheduleIn(mirror: RunningMirror, path: string): ScheduleStatus | undefined {
  return mirror.status().prewarm.find(({ list }) => list === path);
}

const logged = (mirror: RunningMirror, ...parts: string[]): number =>
  mirror.logs.filter((line) => parts.every((part) => line.includes(part))).length;

t.test('a list is fetched soon after the start, pinned, and found whole by who asks', async (t) => {
  const { registry, mirror, run, list } = await start(t, [
    '# what we run',
    `${HOST}/team/one:v1`,
    `${HOST}/team/both:v1`,
    `${HOST}/team/two:v1 linux/arm64,linux/amd64`,
  ]);
  t.match(mirror.status().prewarm, [{ list: list.path, everyS: 3600, isPinning: true, state: 'waiting' }]);
  t.equal(mirror.status().prewarm[0]?.last, undefined);
  const last = await run(2_000);
  t.match(last, { result: 'done', images: { done: 3, failed: 0, total: 3 }, message: undefined });
  t.ok(last.fetchedBytes >= 100 * KIB && last.fetchedBytes < 120 * KIB, 'not what is for arm64');
  const asked = registry.asked.length;
  for (const { digest, body } of [...one.layers, one.config])
    t.ok((await mirror.get(`/v2/team/one/blobs/${digest}`)).body.equals(body));
  t.ok((await mirror.manifest('/v2/team/both/manifests/v1')).body.equals(both.manifest.body));
  t.equal(registry.asked.length, asked, 'nobody had to be asked');
  t.match(mirror.status().store, { pins: 3 });
  t.ok(mirror.status().store.pinnedBytes >= last.fetchedBytes);
  t.equal(await mirror.metric('hubcap_pins'), 3);
  t.equal(await mirror.metric('hubcap_store_pinned_bytes'), mirror.status().store.pinnedBytes);
  t.equal(await mirror.metric('hubcap_prewarm_runs_total', 'done'), 1);
  t.equal(await mirror.metric('hubcap_prewarm_runs_total', 'failed'), 0);
  t.equal(await mirror.metric('hubcap_prewarm_images_total', 'done'), 3);
  t.equal(await mirror.metric('hubcap_prewarm_bytes_total'), last.fetchedBytes);
  const success = await mirror.metric('hubcap_prewarm_last_success_timestamp_seconds', `list="${list.path}"`);
  t.equal(success, Date.parse(last.endedAt) / 1000);
  t.equal(logged(mirror, 'a schedule has run', '"done":3', '"failed":0'), 1);
});

t.test('the next run is after its interval, and fetches what has changed alone', async (t) => {
  const { registry, mirror, run, clock, list } = await start(t, [`${HOST}/team/one:v1`]);
  const first = await run(2_000);
  const nextAt = Date.parse(scheduleIn(mirror, list.path)?.nextAt ?? '');
  const startedAt = Date.parse(first.startedAt);
  t.ok(nextAt >= startedAt + HOUR_MS && nextAt <= startedAt + HOUR_MS + 60_000);
  registry.push('team/one', two, 'v1');
  clock.pass(HOUR_MS - 10_000);
  const asked = registry.asked.length;
  t.match(await run(80_000), { result: 'done', images: { done: 1 } });
  t.ok(registry.asked.length > asked);
  t.equal(await mirror.metric('hubcap_pins'), 1);
  const since = registry.asked.length;
  t.ok(
    (await mirror.manifest('/v2/team/one/manifests/v1')).body.equals(two.manifest.body),
    'it is the new one',
  );
  t.equal(registry.asked.length, since, 'that is here before anyone asks');
  const third = await run(HOUR_MS + 70_000);
  t.equal(third.fetchedBytes, 0);
  t.equal(registry.count('GET', '/blobs/'), one.layers.length + two.layers.length + 2, 'each blob once');
});

t.test('what a list does not name any more is let go; what it has come to name is pinned', async (t) => {
  const { mirror, run, list } = await start(t, [`${HOST}/team/one:v1`, `${HOST}/team/two:v1`]);
  await run(2_000);
  t.equal(mirror.status().store.pins, 2);
  list.write(`${HOST}/team/one:v1`, `${HOST}/team/both:v1`);
  t.match(await run(HOUR_MS + 70_000), { images: { done: 2, total: 2 } });
  t.equal(mirror.status().store.pins, 2);
  t.equal(logged(mirror, 'a schedule has run', '"letGo":1'), 1);
});

t.test('a list that cannot be read lets nothing go, and says why', async (t) => {
  const { mirror, run, list } = await start(t, [`${HOST}/team/one:v1`, `${HOST}/team/two:v1`]);
  await run(2_000);
  list.write(`${HOST}/team/one:v1`, 'this is no: list of images');
  const last = await run(HOUR_MS + 70_000);
  t.match(last, { result: 'failed', images: { total: 0 }, message: /images\.txt:2: / });
  t.equal(mirror.status().store.pins, 2);
  list.write('');
  t.match(await run(HOUR_MS + 70_000), { result: 'failed', message: /names no images/ });
  rmSync(list.path);
  t.match(await run(HOUR_MS + 70_000), { result: 'failed', message: /cannot be read.*ENOENT/ });
  t.equal(mirror.status().store.pins, 2);
  t.equal(await mirror.metric('hubcap_prewarm_runs_total', 'failed'), 3);
  t.equal(logged(mirror, 'the list of a schedule could not be fetched'), 3);
  const headers = { host: 'hubcap.example' };
  const seen = (await fetch(`${mirror.admin}/api/status`, { headers })).body.toString();
  t.match(seen, list.path);
  t.notMatch(seen, /ENOENT|team\/one/, 'what is in a list is for who may hear names');
  list.write(`${HOST}/team/one:v1`);
  t.match(await run(HOUR_MS + 70_000), { result: 'done' });
  t.equal(mirror.status().store.pins, 1);
});

t.test('images that fail are named, some of them, and counted all; the rest is kept', async (t) => {
  const missing = Array.from({ length: 30 }, (_, n) => `${HOST}/team/missing:v${n}`);
  const { mirror, run } = await start(t, [`${HOST}/team/one:v1`, ...missing, 'elsewhere.test/a/b:c']);
  t.match(await run(2_000), { result: 'failed', images: { done: 1, failed: 31, total: 32 } });
  t.equal(logged(mirror, 'a schedule could not fetch an image', '"reason":', '"reference":'), 20);
  t.equal(logged(mirror, 'some images failed', '"failed":31'), 1);
  t.equal(await mirror.metric('hubcap_prewarm_images_total', 'failed'), 31);
  t.equal(await mirror.metric('hubcap_prewarm_last_success_timestamp_seconds'), 0);
  t.equal(mirror.status().store.pins, 1);
});

t.test('offline nothing is fetched; it is when hubcap is online again', async (t) => {
  const { registry, mirror, run, clock, base, list } = await start(t, [`${HOST}/team/one:v1`], {
    offline: true,
  });
  t.match(scheduleIn(mirror, list.path), { state: 'offline', nextAt: undefined });
  clock.pass(3 * HOUR_MS);
  await until('it is said', () => logged(mirror, 'runs when hubcap is online again') > 0, 20);
  t.equal(registry.asked.length, 0);
  await mirror.reload({ ...base, offline: false });
  t.match(await run(0), { result: 'done' });
  t.equal(logged(mirror, 'runs when hubcap is online again'), 1);
});

t.test('a reload adds, changes and removes schedules', async (t) => {
  const { mirror, run, home, list, base } = await start(t, [`${HOST}/team/one:v1`]);
  await run(2_000);
  const other = writeList(home, 'other.txt', `${HOST}/team/two:v1`);
  const more = { ...base, prewarm: [scheduleOf(list), scheduleOf(other)] };
  t.match(await mirror.reload(more), { settings: ['prewarm'], needsRestart: [] });
  t.match(await run(2_000, other.path), { result: 'done' });
  t.equal(mirror.status().store.pins, 2);

  await mirror.reload({ ...base, prewarm: [scheduleOf(list, { isPinning: false }), scheduleOf(other)] });
  await until('what it pinned is let go', () => mirror.status().store.pins === 1, 20);
  const said = () => logged(mirror, 'the pins of a list are let go', list.path, '"pins":1');
  await until('it is said', () => said() === 1, 20);
  t.match(
    scheduleIn(mirror, list.path),
    { isPinning: false, last: { result: 'done' } },
    'its last run is known',
  );

  await mirror.reload({ ...base, prewarm: [] });
  await until('no pin is left', () => mirror.status().store.pins === 0, 20);
  t.same(mirror.status().prewarm, []);
  t.equal(await mirror.metric('hubcap_prewarm_last_success_timestamp_seconds'), 0);
});

t.test('a schedule that is taken out in the middle of a run ends it, and pins nothing', async (t) => {
  const { registry, mirror, clock, base, list } = await start(t, [`${HOST}/team/one:v1`]);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(5 * KIB, gate.opened)));
  clock.pass(2_000);
  await until('it runs', () => mirror.status().fills.length > 0, 20);
  t.match(scheduleIn(mirror, list.path), { state: 'running' });
  await mirror.reload({ ...base, prewarm: [] });
  await until('what it held is let go', () => mirror.status().store.pinnedBytes === 0, 20);
  gate.open();
  await mirror.settled();
  t.equal(mirror.status().store.pins, 0);
  t.equal(await mirror.metric('hubcap_prewarm_runs_total'), 0);
});

t.test('a run goes on after hubcap was offline, and fetches nothing twice', async (t) => {
  const { registry, mirror, clock, base, list, run } = await start(t, [`${HOST}/team/one:v1`]);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(5 * KIB, gate.opened)));
  clock.pass(2_000);
  // Who waits for an answer is given up when hubcap goes offline; what has begun to come goes on.
  const coming = () => mirror.status().fills.filter(({ bytes }) => bytes >= 5 * KIB).length;
  await until('both layers have begun to come', () => coming() === one.layers.length, 20);
  await mirror.reload({ ...base, offline: true });
  await until('it has ended', () => scheduleIn(mirror, list.path)?.state === 'offline', 20);
  t.equal(scheduleIn(mirror, list.path)?.last, undefined);
  t.equal(logged(mirror, 'a schedule could not fetch an image'), 0);
  gate.open();
  await mirror.settled();
  const sent = registry.bytesSent();
  await mirror.reload(base);
  t.match(await run(0), { result: 'done', images: { done: 1 } });
  t.equal(mirror.status().store.pins, 1);
  t.ok(registry.bytesSent() - sent < 10 * KIB, 'what had come in the meantime was here');
});

t.test('lists are fetched one after the other', async (t) => {
  const { registry, mirror, clock, base, home, list } = await start(t, [`${HOST}/team/one:v1`]);
  const other = writeList(home, 'other.txt', `${HOST}/team/two:v1`);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(5 * KIB, gate.opened)));
  clock.pass(2_000);
  await until('the first runs', () => scheduleIn(mirror, list.path)?.state === 'running', 20);
  await mirror.reload({ ...base, prewarm: [scheduleOf(list), scheduleOf(other)] });
  clock.pass(3 * HOUR_MS);
  await until('its download runs', () => mirror.status().fills.length > 0, 20);
  t.match(
    mirror.status().prewarm.map(({ state }) => state),
    ['running', 'waiting'],
  );
  gate.open();
  await until('both have run', () => mirror.status().prewarm.every(({ last }) => last !== undefined), 20);
  const [first, second] = mirror.status().prewarm;
  t.ok(Date.parse(second?.last?.startedAt ?? '') >= Date.parse(first?.last?.endedAt ?? ''));
});

t.test('a list that waits for a limit holds up no other', async (t) => {
  const { registry, mirror, clock, base, home, list } = await start(t, [`${HOST}/team/one:v1`]);
  const limited = await startRegistry(t);
  limited.act(only(pulls, outOfPulls({ 'retry-after': '21600' })));
  limited.push('team/one', one, 'v1');
  const waiting = writeList(home, 'waiting.txt', 'limited.test/team/one:v1');
  const upstreams = { ...base.upstreams, 'limited.test': { at: limited } };
  await mirror.reload({ ...base, upstreams, prewarm: [scheduleOf(waiting), scheduleOf(list)] });
  clock.pass(2_000);
  await until('the other has run', () => scheduleIn(mirror, list.path)?.last !== undefined, 20);
  t.match(scheduleIn(mirror, waiting.path), { state: 'running', last: undefined });
  t.equal(logged(mirror, 'a schedule waits for a limit on pulls'), 1);
  t.equal(registry.count('GET', '/blobs/'), one.layers.length + 1);
  const pulled = limited.asked.filter(pulls).length;
  clock.pass(2 * HOUR_MS);
  await until('it runs again', () => registry.asked.length > 4, 20);
  t.equal(limited.asked.filter(pulls).length, pulled, 'who waits is not begun again');
  const startedMs = Date.now();
  await mirror.close(false);
  t.ok(Date.now() - startedMs < 5_000, 'stopping does not wait for it');
});

t.test('a list is asked for as often as it says, however long a tag holds for clients', async (t) => {
  const registry = await startRegistry(t);
  const upstreams = { [HOST]: { at: registry, tagTtlMs: HOUR_MS } };
  const { mirror, run, list, base, registry: unused } = await start(t, [`${HOST}/team/one:v1`]);
  await unused.close();
  registry.push('team/one', one, 'v1');
  const often = scheduleOf(list, { everyMs: 10 * 60_000 });
  await mirror.reload({ ...base, upstreams, prewarm: [often] });
  await run(2_000);
  registry.push('team/one', two, 'v1');
  await run(11 * 60_000);
  const asked = registry.asked.length;
  t.ok((await mirror.manifest('/v2/team/one/manifests/v1')).body.equals(two.manifest.body));
  t.equal(registry.asked.length, asked, 'it is here before anyone asks');
});

t.test('a list that is gone from the configuration at a start loses its pins', async (t) => {
  const { mirror, run, base } = await start(t, [`${HOST}/team/one:v1`]);
  await run(2_000);
  await mirror.close();
  const next = await startMirror(t, { ...base, prewarm: [], directory: mirror.directory });
  await until('its pins are let go', () => next.status().store.pins === 0, 20);
  await until('it is said', () => logged(next, 'the pins of a list are let go') === 1, 20);
});
