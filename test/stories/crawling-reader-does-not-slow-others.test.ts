import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

// More than the socket buffers of both ends together hold.
const blob = blobOf(24 * MIB, 'crawl');
const path = `/v2/team/app/blobs/${blob.digest}`;

t.test('a client that takes nothing holds up neither the fill nor the others', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const crawling = await mirror.open(path);
  crawling.pause();
  const quick = await mirror.get(path);
  t.ok(quick.isComplete && quick.body.equals(blob.body));
  await mirror.settled();
  t.equal(mirror.status().store.objects, 1, 'it is stored while one still has almost nothing');
  t.ok(crawling.bytes < blob.body.length);
  crawling.resume();
  const { isComplete, body } = await crawling.ended;
  t.ok(isComplete && body.equals(blob.body), 'and that one gets all of it in the end');
  t.equal(registry.count('GET'), 1);
});

t.test('a client that takes nothing for too long is let go', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const http = { idleTimeoutMs: 200 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, http });
  const idle = await mirror.open(path);
  idle.pause();
  await mirror.settled();
  const other = await mirror.get(path);
  t.ok(other.isComplete);
  await until('the idle one is let go', () => mirror.logs.some((line) => line.includes('"aborted":true')));
  idle.resume();
  t.notOk((await idle.ended).isComplete);
});
