import t from 'tap';
import { startCdn } from '../helpers/cdn.ts';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, paced, redirecting, tokened, withoutRanges } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { type Gate, makeGate } from '../helpers/waiting.ts';

const UPSTREAM_BYTES_PER_S = 8_000_000;
const blob = blobOf(90 * MIB, 'far ahead');
const size = blob.body.length;
const path = `/v2/team/app/blobs/${blob.digest}`;

/** A registry that takes twelve seconds for the blob, or as long as it takes when its pace is lifted. */
async function start(t: Parameters<typeof startRegistry>[0]): Promise<[Registry, RunningMirror, Gate]> {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const pace = makeGate();
  t.teardown(pace.open);
  registry.act(only(blobDownloads, paced(UPSTREAM_BYTES_PER_S, pace.opened)));
  return [registry, await startMirror(t, { upstreams: { 'registry.test': { at: registry } } }), pace];
}

t.test('the last 4 KiB of a blob that is not known, before the rest; the rest is kept', async (t) => {
  const [registry, mirror, pace] = await start(t);
  const range = `bytes=${size - 4 * KIB}-`;
  const startMs = performance.now();
  const got = await mirror.get(path, { headers: { range } });
  t.ok(performance.now() - startMs <= 8000, 'long before the rest');
  t.equal(got.status, 206);
  t.equal(got.headers['content-range'], `bytes ${size - 4 * KIB}-${size - 1}/${size}`);
  t.ok(got.isComplete && got.body.equals(blob.body.subarray(size - 4 * KIB)));
  t.equal(mirror.status().fills.length, 1, 'the whole goes on beside');
  pace.open();
  await mirror.settled();
  t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit');
  t.ok(registry.bytesSent() <= size + 4 * KIB, 'the whole once, and the range');
  t.equal(registry.count('GET'), 2);
});

t.test('parts all over a blob that someone reads whole, as fetchers in parallel ask for them', async (t) => {
  const [registry, mirror, pace] = await start(t);
  const whole = await mirror.open(path);
  await whole.receive(MIB);
  const parts = [20, 40, 60, 80].map((at) => [at * MIB, at * MIB + 100 * KIB] as const);
  const got = await Promise.all(
    parts.map(([from, to]) => mirror.get(path, { headers: { range: `bytes=${from}-${to - 1}` } })),
  );
  t.equal(mirror.status().fills.length, 1, 'all came while the whole was on its way');
  for (const [n, [from, to]] of parts.entries()) {
    t.equal(got[n]?.status, 206);
    t.ok(got[n]?.isComplete && got[n].body.equals(blob.body.subarray(from, to)), `from ${from}`);
  }
  const near = mirror.get(path, { headers: { range: 'bytes=1000-1999' } });
  t.ok((await near).body.equals(blob.body.subarray(1000, 2000)), 'what has arrived is not asked for');
  t.equal(registry.count('GET'), 5);
  pace.open();
  const all = await whole.ended;
  t.ok(all.isComplete && all.body.equals(blob.body), 'and who reads the whole gets it');
  await mirror.settled();
  t.equal(mirror.status().store.objects, 1);
  t.ok(registry.bytesSent() <= size + 400 * KIB);
});

t.test('a client that leaves its part ends that part alone', async (t) => {
  const [registry, mirror, pace] = await start(t);
  const part = await mirror.open(path, { headers: { range: `bytes=${40 * MIB}-` } });
  await part.receive(1);
  part.leave();
  await part.ended;
  t.equal(mirror.status().fills.length, 1);
  pace.open();
  await mirror.settled();
  t.equal(mirror.status().store.objects, 1, 'the whole is kept all the same');
  t.ok(registry.bytesSent() < size + 40 * MIB, 'what nobody reads is not fetched to its end');
});

t.test('behind a CDN, with tokens', async (t) => {
  const [registry, , pace] = await start(t);
  const tokens = await startTokenServer(t);
  const cdn = await startCdn(t, () => registry);
  registry.act(tokened(tokens), redirecting(cdn));
  cdn.act(paced(UPSTREAM_BYTES_PER_S, pace.opened));
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, realms: [tokens.host] } },
  });
  const got = await mirror.get(path, { headers: { range: 'bytes=-4096' } });
  t.ok(got.isComplete && got.body.equals(blob.body.subarray(size - 4096)));
  t.equal(mirror.status().fills.length, 1);
  pace.open();
  await mirror.settled();
  t.ok(cdn.bytesSent() <= size + 4096);
  t.equal(new Set(cdn.asked.map(({ url }) => url)).size, cdn.asked.length, 'each with its own address');
});

t.test('an upstream that knows no ranges: the part comes with the whole', async (t) => {
  const [registry, mirror, pace] = await start(t);
  registry.act(withoutRanges(), only(blobDownloads, paced(10 * UPSTREAM_BYTES_PER_S, pace.opened)));
  const got = await mirror.get(path, { headers: { range: `bytes=${size - 4 * KIB}-` } });
  t.equal(got.status, 206);
  t.ok(got.isComplete && got.body.equals(blob.body.subarray(size - 4 * KIB)));
  await mirror.settled();
  t.equal(mirror.status().store.objects, 1);
});
