import t from 'tap';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { corrupting } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const blob = blobOf(3 * MIB, 'too large');
const path = `/v2/team/app/blobs/${blob.digest}`;

async function start(t: Parameters<typeof startRegistry>[0]) {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    maxBytes: 2 * MIB,
  });
  return { registry, mirror };
}

t.test('content beyond the budget is streamed, and nothing of it is kept', async (t) => {
  const { mirror } = await start(t);
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(received.headers['cache-status'], 'hubcap; fwd=bypass');
  t.match(mirror.status().store, { bytes: 0, objects: 0, reservedBytes: 0 });
  t.equal(await mirror.metric('hubcap_served_bytes_total', 'source="bypass"'), blob.body.length);
});

t.test('a range of it is that range', async (t) => {
  const { mirror } = await start(t);
  for (const [range, start, end] of [
    ['bytes=1048576-', MIB, 3 * MIB],
    ['bytes=1000-1999', 1000, 2000],
    ['bytes=-500', 3 * MIB - 500, 3 * MIB],
  ] as const) {
    const { status, headers, body, isComplete } = await mirror.get(path, { headers: { range } });
    t.equal(status, 206);
    t.equal(headers['content-range'], `bytes ${start}-${end - 1}/${blob.body.length}`);
    t.ok(isComplete && body.equals(blob.body.subarray(start, end)), `${range} has the right bytes`);
  }
});

t.test('corrupt content beyond the budget is never complete', async (t) => {
  const { registry, mirror } = await start(t);
  registry.act(corrupting(10));
  const { isComplete, body } = await mirror.get(path);
  t.notOk(isComplete);
  t.ok(body.length <= blob.body.length - 64 * KIB, 'the last bytes are held back');
});

t.test('a client that leaves ends its own stream', async (t) => {
  const { registry, mirror } = await start(t);
  const reader = await mirror.open(path);
  await reader.receive(1);
  reader.leave();
  await reader.ended;
  const other = await mirror.get(path);
  t.ok(other.isComplete && other.body.equals(blob.body), 'and nobody else’s');
  t.ok(registry.count('GET') >= 2);
});
