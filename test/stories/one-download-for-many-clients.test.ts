import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, silent, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'shared');
const through = (repository: string): string => `/v2/${repository}/blobs/${blob.digest}`;

t.test('48 cold readers through two repositories are one download', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/one', blob);
  registry.push('team/two', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });

  const readers = await Promise.all(
    Array.from({ length: 48 }, (_, n) => mirror.open(through(n % 2 === 0 ? 'team/one' : 'team/two'))),
  );
  await Promise.all(readers.map((reader) => reader.receive(MIB / 2)));
  t.equal(mirror.status().fills.length, 1, 'while upstream stalls, every reader has bytes of the one fill');
  gate.open();
  const received = await Promise.all(readers.map(({ ended }) => ended));

  t.ok(received.every(({ isComplete }) => isComplete));
  t.ok(received.every(({ body }) => body.equals(blob.body)));
  t.equal(registry.count('GET'), 1);
  t.ok(registry.bytesSent() <= 1.02 * blob.body.length, 'upstream sent it once');
  t.equal(registry.count('HEAD', '/team/'), 1, 'the second repository is proven by one HEAD');
  const outcomes = received.map(({ headers }) => headers['cache-status']);
  t.equal(outcomes.filter((outcome) => outcome === 'hubcap; fwd=miss; stored').length, 1);
  t.equal(outcomes.filter((outcome) => outcome === 'hubcap; fwd=miss; collapsed').length, 47);

  await mirror.settled();
  const again = await mirror.get(through('team/one'));
  t.equal(again.headers['cache-status'], 'hubcap; hit');
  t.equal(registry.count('GET'), 1, 'and stays once');
});

t.test('clients that come before upstream has answered wait for the one answer', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/one', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, silent(gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const readers = Array.from({ length: 16 }, () => mirror.get(through('team/one')));
  await until('upstream is asked', () => registry.count('GET') > 0);
  gate.open();
  const received = await Promise.all(readers);
  t.ok(received.every(({ body, isComplete }) => isComplete && body.equals(blob.body)));
  t.equal(registry.count('GET'), 1);
  t.equal(registry.asked.length, 1, 'nothing else was asked either');
});

t.test('a head comes at once, before the first byte of the body', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/one', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(0, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const reader = await mirror.open(through('team/one'));
  t.equal(reader.status, 200);
  t.equal(reader.headers['content-length'], String(blob.body.length));
  t.equal(reader.bytes, 0);
  gate.open();
  t.ok((await reader.ended).isComplete);
});
