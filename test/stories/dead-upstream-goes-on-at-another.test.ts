import t, { type Test } from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Asked } from '../helpers/persona-server.ts';
import { blobDownloads, breaking, failing, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'held by two');
const path = (repository: string): string => `/v2/${repository}/blobs/${blob.digest}`;

/** Two registries that hold the same blob; the download from the first stops at 1 MiB. */
async function start(t: Test) {
  const [first, second] = [await startRegistry(t), await startRegistry(t)];
  first.push('team/app', blob);
  second.push('other/app', blob);
  const mirror = await startMirror(t, {
    upstreams: { 'first.test': { at: first }, 'second.test': { at: second } },
  });
  const gate = makeGate();
  first.act(only(blobDownloads, stalling(MIB, gate.opened)), only(blobDownloads, breaking(MIB)));
  return { first, second, mirror, gate };
}

t.test('a fill whose upstream dies for good goes on at the upstream of another reader', async (t) => {
  const { first, second, mirror, gate } = await start(t);
  const early = await mirror.open(path('team/app'));
  await early.receive(MIB);
  const joined = await mirror.open(path('second.test/other/app'));
  t.equal(joined.headers['cache-status'], 'hubcap; fwd=miss; collapsed');
  t.equal(second.count('GET'), 0);
  first.act(failing(503));
  gate.open();
  for (const { isComplete, body } of await Promise.all([early.ended, joined.ended]))
    t.ok(isComplete && body.equals(blob.body), 'a pause is all that a client sees');
  await mirror.settled();
  t.equal(first.bytesSent('GET') + second.bytesSent('GET'), blob.body.length, 'nothing came twice');
  t.same(
    second.asked.filter(({ method }) => method === 'GET').map(({ headers }) => headers.range),
    [`bytes=${MIB}-`],
  );
  t.equal(await mirror.metric('hubcap_fills_total', 'stored'), 1);
  const hit = await mirror.get(path('team/app'));
  t.equal(hit.headers['cache-status'], 'hubcap; hit');
  t.ok(hit.body.equals(blob.body));
});

t.test('so does one whose repository refuses the rest', async (t) => {
  const { first, mirror, gate } = await start(t);
  first.push('team/copy', blob);
  const early = await mirror.open(path('team/app'));
  await early.receive(MIB);
  const joined = await mirror.open(path('team/copy'));
  const isOfApp = ({ path }: Asked): boolean => path.includes('/team/app/');
  first.act(only(isOfApp, failing(403)));
  gate.open();
  for (const { isComplete, body } of await Promise.all([early.ended, joined.ended]))
    t.ok(isComplete && body.equals(blob.body));
  t.equal(first.bytesSent('GET'), blob.body.length);
});

t.test('where nobody else asks, it ends, and the next client goes on with what is there', async (t) => {
  const { first, second, mirror, gate } = await start(t);
  const early = await mirror.open(path('team/app'));
  await early.receive(MIB);
  first.act(failing(503));
  gate.open();
  const { isComplete, body } = await early.ended;
  t.notOk(isComplete);
  t.ok(body.equals(blob.body.subarray(0, body.length)));
  await mirror.settled();
  const received = await mirror.get(path('second.test/other/app'));
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(second.bytesSent('GET'), blob.body.length - MIB, 'from another upstream than the first part');
});
