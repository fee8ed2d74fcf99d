import t from 'tap';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, chunked, only, stalling } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(2 * MIB, 'ranges');
const size = blob.body.length;
const path = `/v2/team/app/blobs/${blob.digest}`;

const wanted: [range: string, headers: Record<string, string>, status: number, start: number, end: number][] =
  [
    ['bytes=0-0', {}, 206, 0, 1],
    ['bytes=100-199', {}, 206, 100, 200],
    ['bytes=1048576-', {}, 206, MIB, size],
    ['bytes=100-99999999', {}, 206, 100, size],
    ['bytes=-500', {}, 206, size - 500, size],
    ['bytes=-99999999', {}, 206, 0, size],
    ['bytes=0-', {}, 206, 0, size],
    [`bytes=${size - 1}-`, {}, 206, size - 1, size],
    ['bytes=0-1,5-6', {}, 200, 0, size],
    ['lines=1-2', {}, 200, 0, size],
    ['bytes=100-199', { 'if-range': `"${blob.digest}"` }, 206, 100, 200],
    ['bytes=100-199', { 'if-range': '"another"' }, 200, 0, size],
    ['bytes=100-199', { 'if-range': 'Sun, 06 Nov 1994 08:49:37 GMT' }, 200, 0, size],
  ];

async function start(t: Parameters<typeof startRegistry>[0]): Promise<[Registry, RunningMirror]> {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  return [registry, await startMirror(t, { upstreams: { 'registry.test': { at: registry } } })];
}

t.test('of a stored blob', async (t) => {
  const [registry, mirror] = await start(t);
  await mirror.get(path);
  await mirror.settled();
  for (const [range, headers, status, from, end] of wanted) {
    const got = await mirror.get(path, { headers: { range, ...headers } });
    t.equal(got.status, status, range);
    t.equal(got.headers['content-length'], String(end - from));
    const expected = status === 206 ? `bytes ${from}-${end - 1}/${size}` : undefined;
    t.equal(got.headers['content-range'], expected);
    t.ok(got.isComplete && got.body.equals(blob.body.subarray(from, end)), 'the right bytes');
  }
  for (const range of [`bytes=${size}-`, 'bytes=-0']) {
    const { status, headers } = await mirror.get(path, { headers: { range } });
    t.match({ status, headers }, { status: 416, headers: { 'content-range': `bytes */${size}` } });
  }
  t.equal(registry.count('GET'), 1);
});

t.test('of a blob that is on its way', async (t) => {
  for (const [range, headers, status, from, end] of wanted) {
    const [registry, mirror] = await start(t);
    const gate = makeGate();
    registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
    const whole = await mirror.open(path);
    const part = await mirror.open(path, { headers: { range, ...headers } });
    t.equal(part.status, status, range);
    t.equal(part.headers['content-length'], String(end - from));
    gate.open();
    const [all, got] = await Promise.all([whole.ended, part.ended]);
    t.ok(all.isComplete && all.body.equals(blob.body), 'the whole');
    t.ok(got.isComplete && got.body.equals(blob.body.subarray(from, end)), 'the right bytes');
    // What lies far ahead is fetched by itself, and no more of it than is wanted.
    t.equal(registry.asked.filter(({ headers }) => headers.range === undefined).length, 1);
    t.ok(registry.bytesSent('GET') <= size + (end - from));
    await mirror.close();
  }
});

t.test('a range that starts a download gets its part, and the whole is kept', async (t) => {
  const [registry, mirror] = await start(t);
  const got = await mirror.get(path, { headers: { range: 'bytes=1000-1999' } });
  t.equal(got.status, 206);
  t.ok(got.body.equals(blob.body.subarray(1000, 2000)));
  await mirror.settled();
  t.equal(registry.asked[0]?.headers.range, undefined, 'upstream is asked for all of it');
  t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit');
});

t.test('while the size is not known, the answer is the whole', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(chunkedBlob(), only(blobDownloads, stalling(MIB, gate.opened)));
  const part = await mirror.open(path, { headers: { range: 'bytes=1000-1999' } });
  gate.open();
  const { status, isComplete, body } = await part.ended;
  t.equal(status, 200);
  t.ok(isComplete && body.equals(blob.body));
});

t.test('a range far ahead waits for its bytes', async (t) => {
  const [registry, mirror] = await start(t);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const ahead = await mirror.open(path, { headers: { range: `bytes=${size - 10 * KIB}-` } });
  t.equal(ahead.status, 206);
  t.equal(ahead.bytes, 0);
  gate.open();
  t.ok((await ahead.ended).body.equals(blob.body.subarray(size - 10 * KIB)));
});

/** Says nothing about the length, not even in a header. */
function chunkedBlob() {
  return only(blobDownloads, async (asked, answer) => {
    const plain = await chunked()(asked, answer);
    const { 'content-length': _length, ...headers } = plain.headers ?? {};
    return { ...plain, headers };
  });
}
