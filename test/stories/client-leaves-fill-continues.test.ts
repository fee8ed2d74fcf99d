import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, silent, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'left');
const path = `/v2/team/app/blobs/${blob.digest}`;

t.test('the only client leaves in the middle: the fill goes on to its end', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const reader = await mirror.open(path);
  await reader.receive(MIB / 2);
  reader.leave();
  await until('nobody reads', () => mirror.status().fills[0]?.readers === 0);
  gate.open();
  await until('it is stored', () => mirror.status().store.objects === 1);
  const again = await mirror.get(path);
  t.equal(again.headers['cache-status'], 'hubcap; hit');
  t.ok(again.body.equals(blob.body));
  t.equal(registry.count('GET'), 1);
});

t.test('the client that started a fill leaves: the one that joined it notices nothing', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const first = await mirror.open(path);
  const second = await mirror.open(path);
  await second.receive(MIB / 2);
  first.leave();
  await until('one has left', () => mirror.status().fills[0]?.readers === 1);
  gate.open();
  const { body, isComplete } = await second.ended;
  t.ok(isComplete && body.equals(blob.body));
  t.equal(registry.count('GET'), 1);
});

t.test('a client that leaves before upstream has answered does not end the question', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, silent(gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const leaving = new AbortController();
  const gone = globalThis.fetch(mirror.url + path, { signal: leaving.signal }).catch(() => 'left');
  await until('upstream is asked', () => registry.count('GET') === 1);
  leaving.abort();
  t.equal(await gone, 'left');
  gate.open();
  await until('it is stored', () => mirror.status().store.objects === 1);
  t.equal(registry.count('GET'), 1);
});
