import { join } from 'node:path';
import t, { type Test } from 'tap';
import { connectControl } from '../../src/admin/control-client.ts';
import { ociErrorOf } from '../helpers/client.ts';
import { run } from '../helpers/command.ts';
import { blobOf, imageOf, MIB } from '../helpers/content.ts';
import { pagedByNames } from '../helpers/lists.ts';
import { type MirrorSettings, startMirror } from '../helpers/mirror.ts';
import {
  blobDownloads,
  breaking,
  failing,
  manifests,
  only,
  silent,
  stalling,
  times,
} from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(4 * MIB, 'on its way');
const blobPath = `/v2/team/app/blobs/${blob.digest}`;
const image = imageOf('app', [1000]);
const latest = '/v2/team/app/manifests/latest';
/** Nothing of a story ends because it took too long. */
const timeouts = { confirmMs: 60_000, headersMs: 60_000, idleMs: 60_000, stallMs: 60_000 };

async function start(t: Test, settings: Partial<MirrorSettings['upstreams'][string]> = {}) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  registry.push('team/app', blob);
  const upstreams = { 'registry.test': { at: registry, tagTtlMs: 0, timeouts, ...settings } };
  const mirror = await startMirror(t, { upstreams });
  const control = await connectControl([join(mirror.directory, 'control.sock')]);
  if (!control) throw new Error('no daemon');
  return { registry, mirror, turn: (state: 'on' | 'off') => control.offline(state === 'on') };
}

t.test(
  'a download on its way goes on, is not resumed where it breaks, and is when hubcap is online',
  async (t) => {
    const { registry, mirror, turn } = await start(t);
    const gate = makeGate();
    registry.act(times(1, breaking(2 * MIB)), stalling(MIB, gate.opened));
    const reader = await mirror.open(blobPath);
    await reader.receive(MIB);
    t.same(await turn('on'), { isOffline: true, isChanged: true });
    gate.open();
    const received = await reader.ended;
    t.notOk(received.isComplete);
    t.ok(received.body.length > MIB, 'what was on its way came');
    await mirror.settled();
    const refused = await mirror.get(blobPath);
    t.equal(refused.status, 404);
    t.match(ociErrorOf(refused), { code: 'BLOB_UNKNOWN', message: /offline/ });
    t.equal(registry.asked.length, 1, 'nobody was asked after it was turned');

    t.same(await turn('off'), { isOffline: false, isChanged: true });
    const again = await mirror.get(blobPath);
    t.ok(again.isComplete && again.body.equals(blob.body));
    t.equal(registry.asked.at(-1)?.headers.range, `bytes=${2 * MIB}-`);
    t.equal(registry.bytesSent('GET', '/blobs/'), blob.body.length, 'no byte twice');
  },
);

t.test('who waits for an upstream is answered at once', async (t) => {
  const { registry, mirror, turn } = await start(t);
  await mirror.manifest(latest);
  const never = makeGate();
  t.teardown(never.open);
  registry.act(silent(never.opened));
  const asked = registry.asked.length;
  const waiting = [latest, '/v2/team/app/manifests/other', blobPath].map((path) => mirror.manifest(path));
  await until('all three wait', () => registry.asked.length === asked + 3);
  await turn('on');
  const [known, unknown, blobAnswer] = await Promise.all(waiting);
  t.match(known, { status: 200, headers: { 'cache-status': /^hubcap; fwd=stale/ } });
  t.equal(unknown?.status, 404);
  t.equal(blobAnswer?.status, 404);
  t.equal(registry.asked.length, asked + 3);
});

t.test('what waits for the next attempt is given up at once', async (t) => {
  const { registry, mirror, turn } = await start(t, { retries: 1000 });
  registry.act(
    only(manifests, failing(503)),
    only(
      (asked) => blobDownloads(asked) && registry.count('GET', '/blobs/') > 1,
      failing(503, { 'retry-after': '30' }),
    ),
    breaking(MIB),
  );
  const manifest = mirror.manifest(latest);
  const reader = await mirror.open(blobPath);
  await until(
    'both have failed',
    () => registry.count('GET', '/blobs/') > 1 && registry.count('GET', '/manifests/') > 0,
  );
  await mirror.reached();
  await turn('on');
  const asked = registry.asked.length;
  t.equal((await manifest).status, 404);
  t.notOk((await reader.ended).isComplete);
  await mirror.settled();
  t.equal(registry.asked.length, asked);
});

t.test('what is queued for a connection is never sent', async (t) => {
  const { registry, mirror, turn } = await start(t, { connections: 1 });
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(manifests, stalling(1, gate.opened)));
  const first = mirror.manifest(latest);
  await until('the only connection is taken', () => registry.answering === 1);
  const queued = mirror.manifest('/v2/team/app/manifests/other');
  await mirror.reached();
  await turn('on');
  t.equal((await queued).status, 404);
  gate.open();
  t.equal((await first).status, 200, 'an answer that had begun is let end');
  t.equal(registry.asked.length, 1);
});

t.test('turned on and off for a client that does as dockerd does', async (t) => {
  const { registry, mirror, turn } = await start(t);
  const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;
  const config = `/v2/team/app/blobs/${image.config.digest}`;
  for (const path of [latest, config, layer]) await mirror.manifest(path);
  await mirror.settled();
  await turn('on');
  const asked = registry.asked.length;
  t.equal((await mirror.get('/v2/')).status, 200);
  t.equal((await mirror.head(latest)).status, 200);
  for (const path of [latest, `/v2/team/app/manifests/${image.manifest.digest}`, config, layer])
    t.equal((await mirror.manifest(path)).status, 200);
  t.equal((await mirror.manifest('/v2/team/other/manifests/latest')).status, 404);
  t.equal(registry.asked.length, asked);
  t.equal(await mirror.metric('hubcap_offline'), 1);
  t.equal(mirror.status().isOffline, true);
  t.equal(await mirror.metric('hubcap_upstream_up'), 1, 'that nobody is asked is no failure of theirs');

  await turn('off');
  await turn('off');
  t.equal(await mirror.metric('hubcap_offline'), 0);
  t.match(await mirror.manifest(latest), { headers: { 'cache-status': /revalidated/ } });
  const said = mirror.logs.map((line) => JSON.parse(line)).filter(({ msg }) => /^(offline|online)/.test(msg));
  t.match(said, [{ level: 40 }, { level: 30 }]);
  t.equal(said.length, 2, 'said when it is turned, and then alone');
});

t.test('by the command line', async (t) => {
  const { mirror } = await start(t);
  const data = ['--data', mirror.directory];
  t.match(await run('offline', ...data), { code: 0, stdout: /^online/ });
  t.match(await run('offline', 'on', ...data), { code: 0, stdout: /^offline: nobody is asked\n/ });
  t.equal(mirror.status().isOffline, true);
  t.match(await run('offline', 'on', ...data), { code: 0, stdout: /as before/ });
  t.same(JSON.parse((await run('offline', '--json', ...data)).stdout), { isOffline: true, isChanged: false });
  t.match((await run('status', ...data)).stdout, /, offline\n/);
  t.same(JSON.parse((await run('offline', 'off', '--json', ...data)).stdout), {
    isOffline: false,
    isChanged: true,
  });
  await mirror.close();
  const { code, stderr } = await run('offline', 'on', ...data);
  t.equal(code, 1);
  t.match(stderr, /no hubcap runs with .*--offline.*offline: true/);
  t.notMatch(stderr, /\n\s+at /);
  t.equal((await run('offline', 'maybe', ...data)).code, 2);
});

t.test(
  'a tag that could not be confirmed because it was turned is confirmed when it is turned back',
  async (t) => {
    const { registry, mirror, turn } = await start(t);
    await mirror.manifest(latest);
    const never = makeGate();
    t.teardown(never.open);
    registry.act(silent(never.opened));
    const waiting = mirror.manifest(latest);
    await until('upstream is asked', () => registry.asked.length === 2);
    await turn('on');
    t.match((await waiting).headers, { 'cache-status': 'hubcap; fwd=stale' });
    registry.act();
    await turn('off');
    t.equal((await mirror.manifest(latest)).headers['cache-status'], 'hubcap; hit; detail=revalidated');
  },
);

t.test('what broke while hubcap was offline goes on by itself when it is online', async (t) => {
  const { registry, mirror, turn } = await start(t);
  const gate = makeGate();
  registry.act(times(1, breaking(2 * MIB)), stalling(MIB, gate.opened));
  const reader = await mirror.open(blobPath);
  await reader.receive(MIB);
  await turn('on');
  gate.open();
  await reader.ended;
  await mirror.settled();
  await turn('off');
  await until('it is here', async () => (await mirror.metric('hubcap_fills_total', 'result="stored"')) === 1);
  t.equal(registry.asked.at(-1)?.headers.range, `bytes=${2 * MIB}-`);
  t.equal((await mirror.get(blobPath)).headers['cache-status'], 'hubcap; hit');
});

t.test('a list of which a part is known is not given as if it were whole', async (t) => {
  const tags = Array.from({ length: 9 }, (_, at) => `v${at}`);
  const { registry, mirror, turn } = await start(t, { tagTtlMs: 60_000 });
  const list = '/v2/team/app/tags/list';
  registry.act(pagedByNames(tags, 3));
  t.same(JSON.parse((await mirror.get(`${list}?n=3`)).body.toString()).tags, tags.slice(0, 3));
  await turn('on');
  for (const path of [list, `${list}?n=3`]) {
    const part = await mirror.get(path);
    t.match(part.headers, { 'cache-status': 'hubcap; fwd=stale', warning: /^299 - / });
    t.equal(part.headers.link, undefined, 'nobody can be asked for the rest');
  }
  const begun = await mirror.get(`${list}?n=2`);
  t.match(begun.headers, { 'cache-status': 'hubcap; hit', link: `<${list}?n=2&last=v1>; rel="next"` });
});
