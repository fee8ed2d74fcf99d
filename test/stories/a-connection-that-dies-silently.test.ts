import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { imageOf, KIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('app', [400 * KIB]);
const latest = '/v2/team/app/manifests/latest';
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;

/** A way to a server on which nothing moves any more, and nobody says so: a firewall that forgot its connections. */
async function startPassage(t: Test, port: number) {
  const ends = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
      one.on('data', (chunk) => other.write(chunk));
      if (isCut) one.pause();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const end of ends) end.destroy();
    server.close();
  });
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    /** What is there stays as dead as it is; what comes is dead too, until it is mended. */
    cut: () => {
      isCut = true;
      for (const end of ends) end.pause();
    },
    mend: () => {
      isCut = false;
    },
  };
}

async function start(t: Test, timeouts: Record<string, number>) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const passage = await startPassage(t, Number(new URL(registry.url).port));
  const at = { at: passage.url, tagTtlMs: 0, retries: 3, timeouts };
  return { registry, passage, mirror: await startMirror(t, { upstreams: { 'registry.test': at } }) };
}

t.test('known content is stale in time, then at once; and confirmed again after the end', async (t) => {
  const { registry, passage, mirror } = await start(t, { confirmMs: 1000, probeMs: 200, headersMs: 1500 });
  const many = Array.from({ length: 5 }, (_, n) => `/v2/team/app/manifests/none-${n}`);
  await Promise.all([latest, ...many].map((path) => mirror.manifest(path)));
  t.ok(registry.connections > 1, 'several connections are kept');
  passage.cut();
  const timed = async () => {
    const startMs = performance.now();
    const answer = await mirror.manifest(latest);
    return { answer, tookMs: performance.now() - startMs };
  };
  const first = await timed();
  t.match(first.answer, { status: 200, headers: { 'cache-status': /stale/ } });
  t.ok(first.tookMs < 5000, 'its deadline');
  for (let n = 0; n < 5; n++) {
    const next = await timed();
    t.match(next.answer, { status: 200, headers: { 'cache-status': /stale/ } });
    t.ok(next.tookMs < first.tookMs / 2, `at once: ${next.tookMs} of ${first.tookMs} ms`);
  }
  passage.mend();
  await until(
    'it is confirmed',
    async () => /revalidated/.test(String((await mirror.manifest(latest)).headers['cache-status'])),
    20,
  );
  t.match(mirror.status().upstreams[0]?.endpoints, [{ state: 'up' }]);
});

t.test('a download that was on its way goes on, although upstream was down meanwhile', async (t) => {
  const timeouts = { confirmMs: 300, probeMs: 200, headersMs: 500, idleMs: 500, stallMs: 20_000 };
  const { registry, passage, mirror } = await start(t, timeouts);
  await mirror.manifest(latest);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(100 * KIB, gate.opened)));
  const received = mirror.get(layer);
  await until('a part is here', () => (mirror.status().fills[0]?.bytes ?? 0) >= 100 * KIB);
  registry.act();
  passage.cut();
  await until('upstream is down', async () => {
    await mirror.manifest(latest);
    return mirror.status().upstreams[0]?.endpoints[0]?.state === 'down';
  });
  passage.mend();
  t.same((await received).body, image.layers[0]?.body);
});
