import t from 'tap';
import { blobOf, type Content, KIB, MIB } from '../helpers/content.ts';
import { assertDiskIsTrue, leftoversOf } from '../helpers/disk-truth.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { blobDownloads, breaking, corrupting, inTurn, only, stalling, times } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(12 * MIB, 'oversized');
// More than the socket buffers of both ends and a window in memory hold together.
const larger = blobOf(40 * MIB, 'oversized and larger');
const through = ({ digest }: Content): string => `/v2/team/app/blobs/${digest}`;

async function start(t: Parameters<typeof startRegistry>[0]): Promise<[Registry, RunningMirror]> {
  const registry = await startRegistry(t);
  for (const content of [blob, larger]) registry.push('team/app', content);
  const upstreams = { 'registry.test': { at: registry } };
  return [registry, await startMirror(t, { upstreams, maxBytes: 8 * MIB })];
}

async function holdsNothing(t: Parameters<typeof startRegistry>[0], mirror: RunningMirror): Promise<void> {
  const truth = await assertDiskIsTrue(mirror.directory);
  t.equal(truth.blobs.size + truth.partials.size + leftoversOf(truth).length, 0, 'nothing of it is on disk');
  t.match(mirror.status().store, { bytes: 0, objects: 0, reservedBytes: 0 });
}

t.test('eight readers at once of a blob larger than the budget are one download', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const readers = await Promise.all(Array.from({ length: 8 }, () => mirror.open(through(blob))));
  gate.open();
  for (const { isComplete, body, headers } of await Promise.all(readers.map(({ ended }) => ended))) {
    t.ok(isComplete && body.equals(blob.body));
    t.equal(headers['cache-status'], 'hubcap; fwd=bypass');
  }
  t.equal(registry.count('GET'), 1);
  t.equal(registry.bytesSent(), blob.body.length, 'no byte twice');
  await holdsNothing(t, mirror);
});

t.test('one that takes nothing does not hold up the others', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const crawling = await mirror.open(through(larger));
  crawling.pause();
  const others = await Promise.all(Array.from({ length: 7 }, () => mirror.open(through(larger))));
  gate.open();
  for (const { isComplete, body } of await Promise.all(others.map(({ ended }) => ended))) {
    t.ok(isComplete && body.equals(larger.body), 'complete while one has almost nothing');
  }
  t.ok(crawling.bytes < larger.body.length / 2);
  crawling.resume();
  const { isComplete, body } = await crawling.ended;
  t.ok(isComplete && body.equals(larger.body), 'and that one gets all of it in the end');
  // On a busy machine others fall behind too, and what is in the buffers of a connection that is given up is lost.
  t.ok(registry.bytesSent() <= 2.5 * larger.body.length, 'the rest was fetched for it at most once more');
  await holdsNothing(t, mirror);
});

t.test('a connection that breaks is a pause for all of them', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(
    only(blobDownloads, inTurn([breaking(5 * MIB)])),
    only(blobDownloads, stalling(MIB, gate.opened)),
  );
  const readers = await Promise.all(Array.from({ length: 4 }, () => mirror.open(through(blob))));
  gate.open();
  for (const { isComplete, body } of await Promise.all(readers.map(({ ended }) => ended)))
    t.ok(isComplete && body.equals(blob.body));
  t.equal(registry.bytesSent(), blob.body.length);
});

t.test('wrong bytes: nobody’s response is complete, and the next is right', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)), corrupting(100));
  const readers = await Promise.all(Array.from({ length: 4 }, () => mirror.open(through(blob))));
  await Promise.all(readers.map((reader) => reader.receive(100 * KIB)));
  gate.open();
  for (const { isComplete } of await Promise.all(readers.map(({ ended }) => ended))) t.notOk(isComplete);
  registry.act();
  const healed = await mirror.get(through(blob));
  t.ok(healed.isComplete && healed.body.equals(blob.body));
  await holdsNothing(t, mirror);
});

/** Says nothing about the length, not even in a header. */
const withoutLength: Persona = async (_asked, answer) => {
  const plain = await answer();
  const { 'content-length': _length, ...headers } = plain.headers ?? {};
  return { ...plain, headers, isChunked: true };
};

for (const [name, faults] of [
  ['right', []],
  ['wrong at first', [times(1, corrupting(10))]],
  ['wrong in the middle at first', [times(1, corrupting(9 * MIB))]],
] as const) {
  t.test(`of a length that upstream does not say, ${name}: right or not complete`, async (t) => {
    const [registry, mirror] = await start(t);
    const gate = makeGate();
    registry.act(
      only(blobDownloads, withoutLength),
      only(blobDownloads, stalling(MIB, gate.opened)),
      ...faults,
    );
    const readers = await Promise.all(Array.from({ length: 4 }, () => mirror.open(through(blob))));
    gate.open();
    const received = await Promise.all(readers.map(({ ended }) => ended));
    for (const { isComplete, body } of received) {
      const isRight = body.equals(blob.body);
      t.ok(faults.length === 0 ? isComplete && isRight : !isComplete || isRight, `${body.length} bytes`);
    }
    t.ok(registry.count('GET') <= 2, 'no download for each of them');
    await mirror.settled();
    await holdsNothing(t, mirror);
    const again = await mirror.get(through(blob));
    t.ok(again.isComplete && again.body.equals(blob.body));
  });
}
