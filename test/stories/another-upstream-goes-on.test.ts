import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { assertDiskIsTrue } from '../helpers/disk-truth.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, breaking, corrupting, failing, inTurn, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'held by two');
const throughFirst = `/v2/team/app/blobs/${blob.digest}`;
const throughSecond = `/v2/second.test/other/app/blobs/${blob.digest}`;
const half = 2 * MIB;

async function start(t: Parameters<typeof startRegistry>[0]) {
  const [first, second] = await Promise.all([startRegistry(t), startRegistry(t)]);
  first.push('team/app', blob);
  second.push('other/app', blob);
  const mirror = await startMirror(t, {
    upstreams: { 'first.test': { at: first }, 'second.test': { at: second } },
  });
  return { first, second, mirror };
}

const deaths: [name: string, then: Persona][] = [
  ['answers 503 from then on', failing(503)],
  ['refuses access from then on', failing(403)],
  ['has lost the blob', failing(404)],
  ['sends what is no part of it', failing(200)],
];
for (const [name, then] of deaths) {
  t.test(`an upstream that breaks in the middle and ${name}: the other one goes on`, async (t) => {
    const { first, second, mirror } = await start(t);
    const gate = makeGate();
    const dying = inTurn([breaking(half)], then);
    first.act(only(blobDownloads, dying), only(blobDownloads, stalling(half, gate.opened)));
    const readers = [await mirror.open(throughFirst), await mirror.open(throughSecond)];
    await Promise.all(readers.map((reader) => reader.receive(half)));
    t.equal(mirror.status().fills.length, 1, 'both read the one download');
    gate.open();
    for (const { isComplete, body } of await Promise.all(readers.map(({ ended }) => ended)))
      t.ok(isComplete && body.equals(blob.body), 'it noticed a pause at most');
    t.equal(second.bytesSent('GET'), half, 'the other one sent the rest');
    await mirror.settled();
    t.equal((await assertDiskIsTrue(mirror.directory)).blobs.get(blob.digest), blob.body.length);
  });
}

t.test('an upstream that is gone in the middle', async (t) => {
  const { first, second, mirror } = await start(t);
  const never = makeGate();
  t.teardown(never.open);
  first.act(only(blobDownloads, stalling(half, never.opened)));
  const readers = [await mirror.open(throughFirst), await mirror.open(throughSecond)];
  await Promise.all(readers.map((reader) => reader.receive(half)));
  never.open();
  await first.close();
  for (const { isComplete, body } of await Promise.all(readers.map(({ ended }) => ended)))
    t.ok(isComplete && body.equals(blob.body));
  t.ok(second.bytesSent('GET') <= half);
});

t.test('an upstream whose content is wrong: the other one is asked for all of it', async (t) => {
  const { first, second, mirror } = await start(t);
  const gate = makeGate();
  first.act(only(blobDownloads, stalling(blob.body.length - 1, gate.opened)), corrupting(10));
  const readers = [await mirror.open(throughFirst), await mirror.open(throughSecond)];
  await Promise.all(readers.map((reader) => reader.receive(1)));
  gate.open();
  for (const { isComplete } of await Promise.all(readers.map(({ ended }) => ended))) t.notOk(isComplete);
  await mirror.settled();
  t.equal(second.bytesSent('GET'), blob.body.length);
  t.equal(first.count('GET'), 1, 'who was wrong is not asked again where another one has it');
  const again = await mirror.get(throughFirst);
  t.equal(again.headers['cache-status'], 'hubcap; hit');
  t.ok(again.body.equals(blob.body));
});

t.test('a second upstream that fails does no harm to the first', async (t) => {
  const { first, second, mirror } = await start(t);
  const gate = makeGate();
  first.act(only(blobDownloads, stalling(half, gate.opened)));
  const reader = await mirror.open(throughFirst);
  await second.close();
  t.equal((await mirror.get(throughSecond)).status, 503, 'nobody says that it holds the blob');
  gate.open();
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(blob.body));
});
