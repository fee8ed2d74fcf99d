import t from 'tap';
import { startCdn } from '../helpers/cdn.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { breaking, failing, inTurn, redirecting, resetting, stalling } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

// A reset loses what is in the buffers of both ends, some MiB: it strikes before more than one is on its way.
const blob = blobOf(100 * MIB, 'five breaks');
const path = `/v2/team/app/blobs/${blob.digest}`;

async function start(t: Parameters<typeof startRegistry>[0]) {
  const registry: Registry = await startRegistry(t);
  registry.push('team/app', blob);
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, retries: 2, timeouts: { idleMs: 300 } } },
  });
  const never = makeGate();
  t.teardown(never.open);
  return { registry, mirror, never };
}

t.test(
  'five breaks inside one blob of 100 MiB: one request succeeds, and upstream sends hardly more',
  async (t) => {
    const { registry, mirror, never } = await start(t);
    registry.act(
      inTurn([
        resetting(1 * MIB),
        breaking(20 * MIB),
        stalling(20 * MIB, never.opened),
        breaking(20 * MIB),
        failing(503),
        resetting(1 * MIB),
      ]),
    );
    const received = await mirror.get(path);
    t.equal(received.status, 200);
    t.ok(received.isComplete && received.body.equals(blob.body), 'the client noticed a pause at most');
    t.ok(registry.bytesSent() <= 1.05 * blob.body.length, `upstream sent ${registry.bytesSent()} bytes`);
    t.equal(registry.count('GET'), 7);
    await mirror.settled();
    t.equal(mirror.status().store.objects, 1);
  },
);

t.test('and as little where a CDN breaks, and its addresses end each time', async (t) => {
  const { registry, mirror, never } = await start(t);
  const cdn = await startCdn(t, () => registry);
  registry.act(redirecting(cdn));
  cdn.act(
    inTurn([
      breaking(1 * MIB),
      resetting(1 * MIB),
      failing(403),
      stalling(15 * MIB, never.opened),
      breaking(50 * MIB),
      failing(500),
    ]),
  );
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.ok(cdn.bytesSent() <= 1.05 * blob.body.length, `the CDN sent ${cdn.bytesSent()} bytes`);
  t.equal(new Set(cdn.asked.map(({ url }) => url)).size, cdn.asked.length, 'no address was used twice');
});
