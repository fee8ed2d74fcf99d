import t, { type Test } from 'tap';
import { RefusedError } from '../../src/refused-error.ts';
import { imageOf } from '../helpers/content.ts';
import { type MirrorSettings, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, breaking, inTurn, only, stalling, tokened } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const image = imageOf('reloaded', [3_000_000]);
const latest = '/v2/library/app/manifests/latest';
const blob = image.layers[0]?.body ?? Buffer.alloc(0);
const layer = `/v2/library/app/blobs/${image.layers[0]?.digest}`;

async function start(t: Test): Promise<Registry> {
  const registry = await startRegistry(t);
  registry.push('library/app', image, 'latest');
  return registry;
}

t.test('an upstream that is added can be used; one that is removed is not known any more', async (t) => {
  const [first, second] = [await start(t), await start(t)];
  const one: MirrorSettings = { upstreams: { 'first.test': { at: first } } };
  const two: MirrorSettings = { upstreams: { 'first.test': { at: first }, 'second.test': { at: second } } };
  const mirror = await startMirror(t, one);
  t.equal((await mirror.manifest(`${latest}?ns=second.test`)).status, 404);
  t.match(await mirror.reload(two), { added: ['second.test'], changed: [], removed: [], needsRestart: [] });
  t.equal((await mirror.manifest(`${latest}?ns=second.test`)).status, 200);
  t.match(await mirror.reload(one), { added: [], removed: ['second.test'] });
  const gone = await mirror.manifest(`${latest}?ns=second.test`);
  t.equal(gone.status, 404);
  t.match(gone.body.toString(), 'NAME_UNKNOWN');
  t.equal(mirror.status().upstreams.length, 1);
  t.equal(await mirror.metric('hubcap_upstream_endpoint_up', 'second.test'), 0);
  t.match(await mirror.reload(two), { added: ['second.test'] });
  second.act();
  t.equal((await mirror.manifest(`${latest}?ns=second.test`)).status, 200, 'it can come back');
});

t.test('a client whose settings are the same keeps its tokens', async (t) => {
  const registry = await start(t);
  const tokens = await startTokenServer(t);
  registry.act(tokened(tokens));
  const at = { at: registry, realms: [tokens.host], tagTtlMs: 0 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  t.equal((await mirror.manifest(latest)).status, 200);
  const report = await mirror.reload({
    upstreams: { 'registry.test': { ...at, notFoundTtlMs: 1, keepDeleted: true } },
  });
  t.match(report, { changed: ['registry.test'], settings: [] });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal(tokens.issued.length, 1);
  await mirror.reload({ upstreams: { 'registry.test': { ...at, connections: 3 } } });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal(tokens.issued.length, 2, 'another client asks for its own');
});

t.test('another time to live holds at once, for what is known too', async (t) => {
  const registry = await start(t);
  const at = { at: registry, tagTtlMs: 3_600_000 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  for (let n = 0; n < 2; n++) await mirror.manifest(latest);
  t.equal(registry.count('HEAD', '/manifests/'), 0);
  await mirror.reload({ upstreams: { 'registry.test': { ...at, tagTtlMs: 0 } } });
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal(registry.count('HEAD', '/manifests/'), 1);
});

t.test('a download that runs goes on, and where it breaks it resumes with what holds now', async (t) => {
  const before = await start(t);
  const after = await start(t);
  const tokens = await startTokenServer(t, { login: { username: 'new', password: 'second secret' } });
  const gate = makeGate();
  before.act(only(blobDownloads, stalling(1_000_000, gate.opened)), only(blobDownloads, breaking(2_000_000)));
  after.act(tokened(tokens));
  const credentials = (password: string) => [{ kind: 'password' as const, username: 'new', password }];
  const settings = (at: Registry, password: string): MirrorSettings => ({
    upstreams: {
      'registry.test': { at, realms: [tokens.host], credentials: credentials(password), private: ['*'] },
    },
  });
  const mirror = await startMirror(t, settings(before, 'first secret'));
  const reading = mirror.get(layer);
  await until('some of it is here', () => (mirror.status().fills[0]?.bytes ?? 0) >= 900_000);
  t.match(await mirror.reload(settings(after, 'second secret')), { changed: ['registry.test'] });
  t.equal(before.answering, 1, 'the connection was not ended');
  gate.open();
  const { status, body } = await reading;
  t.equal(status, 200);
  t.ok(body.equals(blob));
  t.equal(before.count('GET', '/blobs/'), 1);
  t.ok(after.count('GET', '/blobs/') >= 1, 'the rest came from the other address');
  t.match(after.asked.at(-1)?.headers.range, /^bytes=\d{7}-/);
  t.notMatch(mirror.logs.join(''), /(first|second) secret/);
});

t.test('a download of an upstream that is removed ends as it began', async (t) => {
  const [first, second] = [await start(t), await start(t)];
  const gate = makeGate();
  second.act(
    only(blobDownloads, inTurn([stalling(1_000_000, gate.opened)])),
    only(blobDownloads, inTurn([breaking(2_000_000)])),
  );
  const mirror = await startMirror(t, {
    upstreams: { 'first.test': { at: first }, 'second.test': { at: second } },
  });
  const reading = mirror.get(`${layer}?ns=second.test`);
  await until('some of it is here', () => (mirror.status().fills[0]?.bytes ?? 0) >= 900_000);
  await mirror.reload({ upstreams: { 'first.test': { at: first } } });
  t.equal((await mirror.get(`${layer}?ns=second.test`)).status, 404);
  gate.open();
  t.ok((await reading).body.equals(blob));
  t.equal(second.count('GET', '/blobs/'), 2, 'it broke, and was resumed');
});

t.test('requests on connections that are kept see no reload', async (t) => {
  const registry = await start(t);
  const at = { at: registry, tagTtlMs: 0 };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  await mirror.manifest(latest);
  const asking = Array.from({ length: 10 }, async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 20; n++) statuses.push((await mirror.manifest(latest)).status);
    return statuses;
  });
  for (let n = 1; n <= 8; n++) {
    const upstreams = { 'registry.test': { ...at, connections: n, notFoundTtlMs: n } };
    await mirror.reload({ upstreams, http: { keepAliveMs: 5_000 + n } });
  }
  const statuses = (await Promise.all(asking)).flat();
  t.equal(statuses.length, 200);
  t.same(new Set(statuses), new Set([200]));
});

t.test('what needs a restart is said, and does not hold', async (t) => {
  const registry = await start(t);
  const upstreams = { 'registry.test': { at: registry } };
  const mirror = await startMirror(t, { upstreams });
  const report = await mirror.reload({
    upstreams,
    scrubBytesPerS: 1000,
    maxBytes: 5_000_000,
    http: { drainMs: 1 },
    offline: true,
  });
  t.match(report, {
    settings: ['storage.maxSize', 'offline', 'http.drain'],
    needsRestart: ['storage.scrub'],
    changed: [],
  });
  const { store, isOffline, configuration } = mirror.status();
  t.equal(store.maxBytes, 5_000_000);
  t.ok(isOffline);
  t.same(configuration?.needsRestart, ['storage.scrub']);
  t.match(mirror.logs.join(''), /holds after a restart/);
  t.same((await mirror.reload({ upstreams })).needsRestart, [], 'it is as it was at the start');
  t.notOk(mirror.status().isOffline);
});

t.test('one that cannot be used changes nothing and says why', async (t) => {
  const registry = await start(t);
  const good: MirrorSettings = { upstreams: { 'registry.test': { at: registry } } };
  const mirror = await startMirror(t, good);
  const [before, clients] = [mirror.status().configuration, mirror.status().upstreams];
  const tls = { ca: 'nonsense', cert: 'nonsense', key: 'nonsense', isInsecure: false, files: {} };
  const bad: MirrorSettings = {
    offline: true,
    upstreams: { 'other.test': { at: registry }, 'registry.test': { at: registry, tls } },
  };
  await t.rejects(mirror.reload(bad), RefusedError);
  t.same(mirror.status().configuration, before);
  t.same(mirror.status().upstreams, clients);
  t.notOk(mirror.status().isOffline);
  t.equal((await mirror.manifest(latest)).status, 200);
  t.equal(await mirror.metric('hubcap_config_reloads_total', 'failure'), 1);
  t.equal(await mirror.metric('hubcap_config_last_reload_successful'), 0);
  t.match(mirror.logs.join(''), /nothing has changed/);
  await mirror.reload(good);
  t.equal(await mirror.metric('hubcap_config_last_reload_successful'), 1);
});

t.test('who is believed without proof is said loudly', async (t) => {
  const registry = await start(t);
  const tls = { ca: undefined, cert: undefined, key: undefined, isInsecure: true, files: {} };
  const upstreams = { 'registry.test': { at: registry, tls } };
  const mirror = await startMirror(t, { upstreams });
  t.equal(mirror.logs.filter((line) => line.includes('INSECURE')).length, 1);
  t.match(mirror.status().upstreams, [{ endpoints: [{ isInsecure: true }] }]);
  await mirror.reload({ upstreams });
  t.equal(mirror.logs.filter((line) => line.includes('INSECURE')).length, 2);
});

t.test('many reloads at once are one after the other, and no more than are of use', async (t) => {
  const registry = await start(t);
  const upstreams = { 'registry.test': { at: registry } };
  const mirror = await startMirror(t, { upstreams });
  const reports = await Promise.all(
    Array.from({ length: 20 }, (_, n) => mirror.reload({ upstreams, http: { drainMs: 1000 + n } })),
  );
  t.same(new Set(reports).size <= 2, true);
  t.ok((await mirror.metric('hubcap_config_reloads_total', 'success')) <= 2);
  t.match(await mirror.reload({ upstreams, http: { drainMs: 1019 } }), { settings: [] });
});
