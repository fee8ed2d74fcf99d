import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, breaking, failing, inTurn, only } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const blob = blobOf(4 * MIB, 'progress');
const path = `/v2/team/app/blobs/${blob.digest}`;

async function start(t: Parameters<typeof startRegistry>[0], retries: number, stallMs: number) {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const upstream = { at: registry, retries, timeouts: { stallMs } };
  return { registry, mirror: await startMirror(t, { upstreams: { 'registry.test': upstream } }) };
}

t.test('a connection that breaks every half MiB is gone on with to the end', async (t) => {
  const { registry, mirror } = await start(t, 1, 0);
  registry.act(only(blobDownloads, breaking(MIB / 2)));
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(registry.bytesSent(), blob.body.length);
});

t.test('a limit that is met in the middle is waited out, and not hammered', async (t) => {
  const { registry, mirror } = await start(t, 0, 10_000);
  registry.act(only(blobDownloads, inTurn([breaking(MIB), failing(429, { 'retry-after': '1' })])));
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body), 'the client noticed a pause');
  t.equal(registry.count('GET'), 3);
  t.equal(registry.bytesSent(), blob.body.length);
});

t.test('one that lasts longer than a stall may is not waited for', async (t) => {
  const { registry, mirror } = await start(t, 3, 1000);
  registry.act(only(blobDownloads, inTurn([breaking(2 * MIB)], failing(429, { 'retry-after': '60' }))));
  const received = await mirror.get(path);
  t.notOk(received.isComplete);
  t.equal(registry.count('GET'), 2);
  t.equal((await mirror.get(path)).status, 429, 'and is said to who asks next');
  t.equal(registry.count('GET'), 2, 'from memory');
});

t.test('without progress it is tried for a time, whatever the number of retries', async (t) => {
  const { registry, mirror } = await start(t, 0, 1000);
  registry.act(only(blobDownloads, inTurn([breaking(2 * MIB)], failing(503))));
  const received = await mirror.get(path);
  t.notOk(received.isComplete);
  const tried = registry.count('GET');
  t.ok(tried >= 3 && tried <= 8, `${tried} times, less and less often`);
  await mirror.settled();
  registry.act();
  const again = await mirror.get(path);
  t.ok(again.isComplete && again.body.equals(blob.body));
  t.equal(registry.bytesSent(), blob.body.length, 'what was there is not fetched again');
});
