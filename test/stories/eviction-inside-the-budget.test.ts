import t from 'tap';
import { blobOf, type Content, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const contents = ['a', 'b', 'c', 'd', 'e'].map((seed) => blobOf(2 * MIB, seed));
const [a, b, c, d, e] = contents as [Content, Content, Content, Content, Content];
const path = ({ digest }: Content): string => `/v2/team/app/blobs/${digest}`;

async function start(t: Parameters<typeof startRegistry>[0], maxBytes: number) {
  const registry = await startRegistry(t);
  for (const content of contents) registry.push('team/app', content);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, maxBytes });
  const pull = async (content: Content): Promise<string | undefined> => {
    const { headers, body } = await mirror.get(path(content));
    t.ok(body.equals(content.body));
    await mirror.settled();
    t.ok(mirror.status().store.bytes <= maxBytes, 'the budget holds');
    return headers['cache-status']?.toString();
  };
  return { registry, mirror, pull };
}

t.test('the least recently used go first, and no more than must', async (t) => {
  const { mirror, pull } = await start(t, 6 * MIB);
  for (const content of [a, b, c]) await pull(content);
  // The order is kept in milliseconds: the next use must fall into a later one.
  const last = Date.now();
  await until('the clock has moved on', () => Date.now() > last);
  t.equal(await pull(a), 'hubcap; hit');
  await until('the clock has moved on', () => Date.now() > last + 1);
  await pull(d);
  t.equal(await mirror.metric('hubcap_evictions_total', 'budget'), 1);
  t.equal(await mirror.metric('hubcap_evicted_bytes_total'), 2 * MIB);
  t.equal(await pull(a), 'hubcap; hit', 'used last');
  t.equal(await pull(c), 'hubcap; hit');
  t.equal(await pull(b), 'hubcap; fwd=miss; stored', 'the one that had to go');
});

t.test('who reads what is evicted notices nothing', async (t) => {
  const { mirror, pull } = await start(t, 4 * MIB);
  await pull(a);
  const reader = await mirror.open(path(a));
  reader.pause();
  await pull(b);
  await pull(c);
  t.ok((await mirror.metric('hubcap_evictions_total')) >= 1);
  reader.resume();
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(a.body));
});

t.test('many at once stay inside the budget together', async (t) => {
  const { registry, mirror } = await start(t, 4 * MIB);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const readers = await Promise.all([a, b, c, d, e].map((content) => mirror.open(path(content))));
  const { bytes, reservedBytes } = mirror.status().store;
  t.ok(bytes + reservedBytes <= 4 * MIB, 'what is promised is inside the budget');
  gate.open();
  const received = await Promise.all(readers.map(({ ended }) => ended));
  t.ok(received.every(({ isComplete, body }, n) => isComplete && body.equals(contents[n]?.body ?? body)));
  await mirror.settled();
  t.ok(mirror.status().store.bytes <= 4 * MIB);
  t.equal(await mirror.metric('hubcap_requests_total', 'bypass'), 3, 'what did not fit was passed through');
});

t.test('a budget that was lowered is reached soon after the start', async (t) => {
  const { registry, mirror, pull } = await start(t, 10 * MIB);
  for (const content of contents) await pull(content);
  await mirror.close();
  const settings = { upstreams: { 'registry.test': { at: registry } }, directory: mirror.directory };
  const next = await startMirror(t, { ...settings, maxBytes: 5 * MIB });
  await until('it is reached', () => next.status().store.objects === 2);
  t.equal(next.status().store.bytes, 4 * MIB);
  t.equal((await next.get(path(e))).headers['cache-status'], 'hubcap; hit', 'used last');
});
