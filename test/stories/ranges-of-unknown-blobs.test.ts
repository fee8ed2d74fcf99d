import t from 'tap';
import { startCdn } from '../helpers/cdn.ts';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { corrupting, redirecting, times } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';

const large = blobOf(2 * MIB, 'unknown, large');
const small = blobOf(40 * KIB, 'unknown, small');

async function start(t: Parameters<typeof startRegistry>[0]): Promise<[Registry, RunningMirror]> {
  const registry = await startRegistry(t);
  for (const blob of [large, small]) registry.push('team/app', blob);
  return [registry, await startMirror(t, { upstreams: { 'registry.test': { at: registry } } })];
}

for (const [name, { digest, body }] of Object.entries({ large, small })) {
  const path = `/v2/team/app/blobs/${digest}`;
  const etag = `"${digest}"`;
  const size = body.length;
  const half = size / 2;
  const answers: [
    range: string,
    headers: Record<string, string>,
    status: number,
    start: number,
    end: number,
  ][] = [
    ['bytes=0-0', {}, 206, 0, 1],
    [`bytes=${half}-${half + 99}`, {}, 206, half, half + 100],
    [`bytes=${half}-`, {}, 206, half, size],
    ['bytes=-500', {}, 206, size - 500, size],
    [`bytes=100-${10 * size}`, {}, 206, 100, size],
    ['bytes=0-1,5-6', {}, 200, 0, size],
    ['bytes=100-199', { 'if-range': etag }, 206, 100, 200],
    ['bytes=100-199', { 'if-range': '"another"' }, 200, 0, size],
  ];
  for (const [range, headers, status, from, end] of answers) {
    t.test(`${name}: ${range} ${JSON.stringify(headers)} is ${status}`, async (t) => {
      const [registry, mirror] = await start(t);
      const got = await mirror.get(path, { headers: { range, ...headers } });
      t.equal(got.status, status);
      t.ok(got.isComplete && got.body.equals(body.subarray(from, end)), 'the right bytes');
      t.equal(got.headers['content-range'], status === 206 ? `bytes ${from}-${end - 1}/${size}` : undefined);
      await mirror.settled();
      t.equal(mirror.status().store.objects, 1, 'the whole is kept');
      t.ok(registry.bytesSent() <= size + end - from, 'the whole once, and the range at most once more');
    });
  }

  t.test(`${name}: what lies behind the end is 416, and the whole is there for who asks next`, async (t) => {
    const [registry, mirror] = await start(t);
    for (const range of [`bytes=${size}-`, 'bytes=-0']) {
      const got = await mirror.get(path, { headers: { range } });
      t.match(got, { status: 416, headers: { 'content-range': `bytes */${size}` } });
    }
    t.ok((await mirror.get(path)).body.equals(body));
    t.ok(registry.bytesSent() <= size);
  });

  t.test(`${name}: a wrong byte outside of a range makes it no less right`, async (t) => {
    const [registry, mirror] = await start(t);
    registry.act(times(1, corrupting(size - 10)));
    const got = await mirror.get(path, { headers: { range: 'bytes=0-999' } });
    if (got.isComplete) t.ok(got.body.equals(body.subarray(0, 1000)), 'the right bytes, or none');
    await mirror.settled();
    t.ok((await mirror.get(path)).body.equals(body));
  });

  t.test(
    `${name}: who asks whether it is there, or has it already, is answered without a download`,
    async (t) => {
      const [registry, mirror] = await start(t);
      t.match(await mirror.head(path), { status: 200, headers: { 'content-length': String(size) } });
      t.match(await mirror.head(path, { headers: { range: 'bytes=0-9' } }), { status: 200 });
      t.match(await mirror.get(path, { headers: { 'if-none-match': etag } }), { status: 304 });
      t.match(await mirror.get(path, { headers: { 'if-none-match': etag, range: 'bytes=0-9' } }), {
        status: 304,
      });
      t.equal(registry.bytesSent(), 0);
      t.match(mirror.status(), { fills: [], store: { objects: 0, reservedBytes: 0 } });
      const cdn = await startCdn(t, () => registry);
      registry.act(redirecting(cdn));
      await mirror.head(path);
      t.ok(cdn.bytesSent() <= 1, 'a byte at most, where the registry redirects');
    },
  );
}
