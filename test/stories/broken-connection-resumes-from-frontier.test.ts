import t from 'tap';
import { startCdn } from '../helpers/cdn.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import {
  blobDownloads,
  breaking,
  failing,
  only,
  redirecting,
  stalling,
  times,
  withoutRanges,
} from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'broken');
const path = `/v2/team/app/blobs/${blob.digest}`;

t.test('a connection that breaks twice is resumed where it broke', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  registry.act(times(2, breaking(MIB)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body), 'the client noticed a pause at most');
  t.same(
    registry.asked.map(({ headers }) => headers.range),
    [undefined, `bytes=${MIB}-`, `bytes=${2 * MIB}-`],
  );
  t.same(
    registry.asked.map(({ headers }) => headers['if-range']),
    [undefined, `"${blob.digest}"`, `"${blob.digest}"`],
    'the rest must be of the same content',
  );
  t.equal(registry.bytesSent(), blob.body.length, 'no byte twice');
  t.equal(await mirror.metric('hubcap_fill_resumes_total'), 2);
});

t.test('errors between the parts are waited out', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const isSecond = () => registry.count('GET') === 2;
  registry.act(only(isSecond, failing(503)), times(1, breaking(MIB)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, retries: 2 } } });
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(registry.bytesSent(), blob.body.length);
});

t.test('an upstream without ranges sends all again, and clients get each byte once', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  registry.act(withoutRanges(), times(1, breaking(MIB)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(registry.count('GET'), 2);
});

t.test('the registry is asked for a fresh address when the signed one has ended', async (t) => {
  const registry: Registry = await startRegistry(t);
  registry.push('team/app', blob);
  const cdn = await startCdn(t, () => registry);
  registry.act(redirecting(cdn));
  cdn.act(times(1, breaking(MIB)));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const reader = await mirror.open(path);
  cdn.expireAll();
  const received = await reader.ended;
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(registry.count('GET'), 2, 'each part has its own address');
  t.equal(new Set(cdn.asked.map(({ url }) => url)).size, cdn.asked.length, 'none was used twice');
  t.equal(cdn.asked.at(-1)?.headers.range, `bytes=${MIB}-`);
});

t.test('an upstream that falls silent in the middle is resumed', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(times(1, only(blobDownloads, stalling(MIB, never.opened))));
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry, timeouts: { idleMs: 200 } } },
  });
  const received = await mirror.get(path);
  t.ok(received.isComplete && received.body.equals(blob.body));
  t.equal(registry.asked.at(-1)?.headers.range, `bytes=${MIB}-`);
  t.equal(registry.bytesSent(), blob.body.length);
});

t.test(
  'without progress it is given up: the response is broken off, the rest can be had later',
  async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', blob);
    registry.act(
      only(() => registry.count('GET') > 1, failing(500)),
      breaking(2 * MIB),
    );
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
    const received = await mirror.get(path);
    t.notOk(received.isComplete);
    await mirror.settled();
    registry.act();
    const asked = registry.asked.length;
    const again = await mirror.get(path);
    t.ok(again.isComplete && again.body.equals(blob.body));
    t.equal(
      registry.asked[asked]?.headers.range,
      `bytes=${2 * MIB}-`,
      'what was there is not asked for again',
    );
  },
);
