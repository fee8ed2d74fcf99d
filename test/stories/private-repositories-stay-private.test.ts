import t, { type Test } from 'tap';
import { ociErrorOf } from '../helpers/client.ts';
import { makeClock } from '../helpers/clock.ts';
import { blobOf, imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Asked, Persona } from '../helpers/persona-server.ts';
import { blobDownloads, failing, only, silent, stalling, times, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer, type TokenServerOptions } from '../helpers/token-server.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const LOGIN = { username: 'someone', password: 'secret-password' };
const CREDENTIALS = [{ kind: 'password', ...LOGIN } as const];
const image = imageOf('app', [1000]);
const shared = blobOf(2 * MIB, 'a layer of both');
const PUBLIC_MS = 3_600_000;

const paths = (repository: string): string[] => [
  `/v2/${repository}/manifests/latest`,
  `/v2/${repository}/manifests/${image.manifest.digest}`,
  `/v2/${repository}/blobs/${image.layers[0]?.digest}`,
  `/v2/${repository}/blobs/${shared.digest}`,
];
const ifNoneMatch = () => ({ 'if-none-match': `"${image.manifest.digest}"` });
const isPrivate = ({ path }: Asked): boolean => path.startsWith('/v2/team/private/');
const fromStranger = ({ headers }: Asked): boolean => headers.authorization === undefined;

/** A registry of public and private repositories, and a hubcap whose login may read them all. */
async function start(t: Test, settings: object = {}, server: TokenServerOptions = {}) {
  const clock = makeClock();
  const open = new Set(['team/public', 'team/listed-not']);
  const tokens = await startTokenServer(t, { login: LOGIN, isPublic: (name) => open.has(name), ...server });
  const registry = await startRegistry(t);
  for (const repository of ['team/public', 'team/private', 'team/listed']) {
    registry.push(repository, image, 'latest');
    registry.push(repository, shared);
  }
  const guard = tokened(tokens);
  registry.act(guard);
  const at = {
    ...{ at: registry, realms: [tokens.host], credentials: CREDENTIALS, retries: 0, publicTtlMs: PUBLIC_MS },
    ...{ private: ['team/listed'], tagTtlMs: 60_000, timeouts: { confirmMs: 300 } },
    ...settings,
  };
  const begin = (more: object = {}) =>
    startMirror(t, { upstreams: { 'registry.test': at }, now: clock.now, ...more });
  const mirror = await begin();
  const restarted = async (other: object = {}, offline = false) => {
    await mirror.close();
    const upstreams = { 'registry.test': { ...at, ...other } };
    return await begin({ directory: mirror.directory, offline, upstreams });
  };
  return { at, clock, open, tokens, registry, guard, mirror, restarted };
}

for (const isGenerous of [false, true]) {
  const how = isGenerous ? 'given tokens that open nothing' : 'given no token';
  t.test(`strangers are ${how}: a private repository is refused, whole`, async (t) => {
    const { registry, mirror } = await start(t, {}, { isGenerous });
    for (const path of paths('team/private')) {
      for (const answer of [await mirror.manifest(path), await mirror.head(path)])
        t.equal(answer.status, 403);
      t.notOk((await mirror.get(path)).headers['docker-content-digest'], 'nothing is told of it');
    }
    const answer = await mirror.manifest(paths('team/private')[0] ?? '');
    t.equal(ociErrorOf(answer).code, 'DENIED');
    t.match(ociErrorOf(answer).message, /private.*upstreams\.registry\.test\.private/);
    t.equal(await mirror.metric('hubcap_requests_total', 'outcome="denied"'), 13);
    t.equal(registry.count('GET', 'team/private'), 0, 'hubcap’s login was not used for it');
    t.notOk(mirror.logs.some((line) => line.includes(LOGIN.password)));
  });

  t.test(`strangers are ${how}: what is public, and what is listed, is served`, async (t) => {
    const { registry, mirror } = await start(t, {}, { isGenerous });
    for (const repository of ['team/public', 'team/listed']) {
      for (const path of paths(repository)) t.equal((await mirror.manifest(path)).status, 200, path);
      await mirror.settled();
    }
    t.equal(
      registry.asked.filter((one) => one.method === 'HEAD' && one.path.startsWith('/v2/team/public/')).length,
      isGenerous ? 2 : 2,
      'a stranger asked once for all: without a token, and with it',
    );
  });
}

t.test(
  'lists of a private repository are refused, and lists of repositories leave out what is',
  async (t) => {
    const { mirror, restarted } = await start(t);
    const lists = (name: string) => [
      `/v2/${name}/tags/list`,
      `/v2/${name}/referrers/${image.manifest.digest}`,
    ];
    for (const path of lists('team/private')) t.equal((await mirror.get(path)).status, 403, path);
    for (const name of ['team/public', 'team/listed']) {
      for (const path of [...paths(name), ...lists(name)])
        t.equal((await mirror.manifest(path)).status, 200, path);
    }
    await mirror.settled();
    const next = await restarted({ private: [] });
    const catalog = JSON.parse((await next.get('/v2/_catalog')).body.toString());
    t.match(catalog.repositories, [/team\/public$/]);
    for (const path of lists('team/listed')) t.equal((await next.get(path)).status, 403, path);
  },
);

t.test('one question for all who ask about a repository', async (t) => {
  const { registry, guard, mirror } = await start(t);
  const gate = makeGate();
  registry.act(only(fromStranger, silent(gate.opened)), guard);
  const asking = paths('team/public').flatMap((path) => [mirror.manifest(path), mirror.manifest(path)]);
  await until('a stranger asks', () => registry.asked.length === 1);
  await mirror.reached();
  t.equal(registry.asked.length, 1);
  gate.open();
  t.ok((await Promise.all(asking)).every(({ status }) => status === 200));
});

t.test('a running download of a public repository is not read through a private one', async (t) => {
  const { registry, guard, mirror } = await start(t);
  const gate = makeGate();
  registry.act(guard, only(blobDownloads, stalling(MIB, gate.opened)));
  const first = await mirror.open(`/v2/team/public/blobs/${shared.digest}`);
  await first.receive(MIB - 64 * 1024);
  const path = `/v2/team/private/blobs/${shared.digest}`;
  t.equal((await mirror.get(path)).status, 403);
  gate.open();
  t.ok((await first.ended).isComplete);
  await mirror.settled();
  t.equal((await mirror.get(path)).status, 403, 'nor when it is stored');
  t.equal((await mirror.head(path)).status, 403);
});

t.test('a download that a listed repository began is not read through a private one', async (t) => {
  const { registry, guard, mirror } = await start(t);
  const gate = makeGate();
  registry.act(guard, only(blobDownloads, stalling(MIB, gate.opened)));
  const first = await mirror.open(`/v2/team/listed/blobs/${shared.digest}`);
  t.equal((await mirror.get(`/v2/team/private/blobs/${shared.digest}`)).status, 403);
  gate.open();
  t.ok((await first.ended).isComplete);
});

t.test('what a stranger is told is absent is absent, whatever the login can see', async (t) => {
  const { registry, mirror } = await start(t, { notFoundTtlMs: 60_000 });
  const hiding: Persona = only((asked) => isPrivate(asked) && fromStranger(asked), failing(404));
  registry.act(hiding);
  const hidden = await mirror.manifest('/v2/team/private/manifests/latest');
  registry.act();
  const absent = await mirror.manifest('/v2/team/public/manifests/nope');
  t.equal(hidden.status, 404);
  const rename = (text: string): string =>
    text.replaceAll('team/public', 'team/private').replaceAll('nope', 'latest');
  t.equal(rename(absent.body.toString()), hidden.body.toString(), 'the two cannot be told apart');
  const { length } = registry.asked;
  t.equal((await mirror.manifest('/v2/team/private/manifests/latest')).status, 404);
  t.equal(registry.asked.length, length, 'and it is remembered as absences are');
});

t.test('a repository that becomes private is refused when its time is over', async (t) => {
  const { clock, open, registry, mirror, restarted } = await start(t);
  for (const path of paths('team/public')) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  open.clear();
  clock.pass(PUBLIC_MS);
  for (const path of paths('team/public')) t.equal((await mirror.manifest(path)).status, 403);
  await registry.close();
  const next = await restarted();
  for (const path of paths('team/public'))
    t.not((await next.manifest(path)).status, 200, 'it is not forgotten');
});

t.test('a repository that is made public is served a minute later', async (t) => {
  const { clock, open, mirror } = await start(t);
  const [latest = ''] = paths('team/private');
  t.equal((await mirror.manifest(latest)).status, 403);
  open.add('team/private');
  t.equal((await mirror.manifest(latest)).status, 403, 'the refusal is remembered');
  clock.pass(60_000);
  t.equal((await mirror.manifest(latest)).status, 200);
});

t.test('a registry that hides what has become private', async (t) => {
  const { clock, registry, mirror } = await start(t);
  registry.act();
  for (const path of paths('team/public')) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  // The login is given what strangers are told is absent: it is hidden, not deleted.
  let isStranger = true;
  registry.act(() => ({ status: isStranger ? 404 : 200 }));
  clock.pass(PUBLIC_MS);
  registry.act(
    only(
      ({ headers }) => headers.authorization === undefined && isStranger,
      async (asked, answer) => {
        isStranger = false;
        return asked.method === 'HEAD' ? { status: 404 } : await answer();
      },
    ),
  );
  t.equal((await mirror.manifest(paths('team/public')[1] ?? '')).status, 404);
});

t.test('outages: what was once public is served, what never was known to be is trouble', async (t) => {
  const { clock, registry, tokens, mirror, restarted } = await start(t);
  for (const path of [...paths('team/public'), ...paths('team/listed')])
    t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  const never = makeGate();
  t.teardown(never.open);
  registry.act(silent(never.opened));
  clock.pass(100 * PUBLIC_MS);
  const served = [...paths('team/public'), ...paths('team/listed')];
  for (const path of served) t.equal((await mirror.manifest(path)).status, 200, path);
  never.open();
  for (const server of [registry, tokens]) server.act(failing(503));
  t.equal((await mirror.manifest(paths('team/private')[0] ?? '')).status, 502);
  await registry.close();
  const next = await restarted();
  for (const path of served) t.equal((await next.manifest(path)).status, 200, `${path} after a restart`);
  t.equal((await next.manifest(paths('team/private')[0] ?? '')).status, 503);
});

t.test('offline: what was public and what is listed is served', async (t) => {
  const { mirror, restarted } = await start(t);
  for (const path of [...paths('team/public'), ...paths('team/listed')]) await mirror.manifest(path);
  await mirror.settled();
  const next = await restarted({}, true);
  for (const path of [...paths('team/public'), ...paths('team/listed')])
    t.equal((await next.manifest(path)).status, 200, path);
  const refused = await next.manifest(paths('team/private')[0] ?? '');
  t.equal(refused.status, 404);
  t.match(ociErrorOf(refused).message, /offline/);
});

t.test('what is not listed any more is private again', async (t) => {
  const { mirror, restarted } = await start(t);
  for (const path of paths('team/listed')) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  const next = await restarted({ private: [] });
  for (const path of paths('team/listed')) t.equal((await next.manifest(path)).status, 403);
});

t.test('what the credentials opened is closed when they are gone', async (t) => {
  const { mirror, restarted } = await start(t);
  for (const name of ['team/listed', 'team/public'])
    for (const path of paths(name)) t.equal((await mirror.manifest(path)).status, 200);
  t.equal((await mirror.get('/v2/team/listed/tags/list')).status, 200);
  await mirror.settled();
  const gone = { credentials: [], private: [] };
  const next = await restarted(gone);
  for (const path of [...paths('team/listed'), '/v2/team/listed/tags/list']) {
    for (const answer of [await next.manifest(path), await next.head(path)])
      t.equal(answer.status, 403, path);
  }
  t.equal((await next.head(paths('team/listed')[1] ?? '', { headers: ifNoneMatch() })).status, 403);
  for (const path of paths('team/public')) t.equal((await next.manifest(path)).status, 200, path);
  const catalog = JSON.parse((await next.get('/v2/_catalog')).body.toString());
  t.same(catalog.repositories, ['registry.test/team/public']);
});

t.test('a layer alone that the credentials opened is closed, too, when they are gone', async (t) => {
  const { mirror, restarted } = await start(t);
  const path = `/v2/team/listed/blobs/${shared.digest}`;
  t.equal((await mirror.get(path)).status, 200);
  await mirror.settled();
  const next = await restarted({ credentials: [], private: [] });
  for (const answer of [await next.get(path), await next.head(path)]) t.equal(answer.status, 403);
});

t.test('what the credentials opened is closed offline, too, when they are gone', async (t) => {
  const { mirror, restarted } = await start(t);
  for (const path of [...paths('team/listed'), ...paths('team/public')]) await mirror.manifest(path);
  await mirror.settled();
  const next = await restarted({ credentials: [], private: [] }, true);
  for (const path of paths('team/listed')) t.equal((await next.manifest(path)).status, 404, path);
  for (const path of paths('team/public')) t.equal((await next.manifest(path)).status, 200, path);
});

t.test('what was fetched while the credentials were taken away is not taken for public', async (t) => {
  const { registry, guard, mirror, at } = await start(t);
  const [latest = '', manifest = '', layer = ''] = paths('team/listed');
  const holding = makeGate();
  registry.act(
    guard,
    only(({ path }) => path === latest, silent(holding.opened)),
  );
  const asking = mirror.manifest(latest);
  await until('it is asked with the login', () => registry.asked.some((one) => !fromStranger(one)));
  await mirror.reload({ upstreams: { 'registry.test': { ...at, credentials: [], private: [] } } });
  holding.open();
  t.equal((await asking).status, 403, 'not given to who asked before, either');
  for (const path of [latest, manifest, layer]) t.equal((await mirror.manifest(path)).status, 403, path);
  t.equal((await mirror.get('/v2/team/listed/tags/list')).status, 403);
});

t.test(
  'credentials that come while a stranger asks bring nothing that strangers are not given',
  async (t) => {
    const { registry, guard, mirror, at } = await start(t, { credentials: [], private: [], retries: 3 });
    for (const path of paths('team/private').slice(0, 3)) {
      const before = registry.asked.length;
      const gate = makeGate();
      registry.act(
        times(1, async () => {
          await gate.opened;
          return { status: 503 };
        }),
        guard,
      );
      const asking = mirror.manifest(path);
      await until('upstream is asked', () => registry.asked.length > before);
      await mirror.reload({ upstreams: { 'registry.test': { ...at, credentials: CREDENTIALS } } });
      registry.act(guard);
      gate.open();
      t.equal((await asking).status, 403, path);
      await mirror.settled();
      await mirror.reload({ upstreams: { 'registry.test': at } });
    }
  },
);

t.test('what is held under a name that is another upstream’s alias by now is not listed', async (t) => {
  const { mirror, at } = await start(t);
  t.equal((await mirror.manifest(paths('team/listed')[0] ?? '')).status, 200);
  await mirror.close();
  const upstreams = { 'other.test': { ...at, credentials: [], private: [], aliases: ['registry.test'] } };
  const next = await startMirror(t, { upstreams, directory: mirror.directory });
  t.same(JSON.parse((await next.get('/v2/_catalog')).body.toString()).repositories, []);
});

t.test('credentials that come later do not refuse what strangers were given', async (t) => {
  const { registry, mirror, restarted } = await start(t, { credentials: [] });
  for (const path of paths('team/public')) t.equal((await mirror.manifest(path)).status, 200);
  await mirror.settled();
  await registry.close();
  const next = await restarted({ credentials: CREDENTIALS });
  for (const path of paths('team/public')) t.equal((await next.manifest(path)).status, 200);
});

t.test('a download that was broken off is gone on with, and read by those alone who may', async (t) => {
  const { registry, guard, mirror, restarted } = await start(t);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(guard, only(blobDownloads, stalling(MIB, gate.opened)));
  const first = await mirror.open(`/v2/team/listed/blobs/${shared.digest}`);
  await first.receive(MIB - 64 * 1024);
  registry.act(guard);
  const next = await restarted({ private: [] });
  await until('it is complete', () => next.status().store.objects === 1);
  t.equal((await next.get(`/v2/team/listed/blobs/${shared.digest}`)).status, 403);
});

t.test('lists: of what is for everybody, and nothing of the rest', async (t) => {
  const { registry, mirror, restarted } = await start(t);
  const { digest } = image.manifest;
  for (const repository of ['team/public', 'team/listed']) {
    await mirror.manifest(`/v2/${repository}/manifests/latest`);
    t.equal((await mirror.get(`/v2/${repository}/tags/list`)).status, 200);
    t.equal((await mirror.get(`/v2/${repository}/referrers/${digest}`)).status, 200);
  }
  for (const path of ['tags/list', 'tags/list?n=1', `referrers/${digest}`])
    t.equal((await mirror.get(`/v2/team/private/${path}`)).status, 403);
  t.ok(
    registry.asked.filter(isPrivate).every(fromStranger),
    'not asked with the login about what it would show',
  );
  const catalog = async (hubcap: typeof mirror, query = '') =>
    JSON.parse((await hubcap.get(`/v2/_catalog${query}`)).body.toString()).repositories;
  t.same(await catalog(mirror), ['registry.test/team/listed', 'registry.test/team/public']);

  const narrow = await restarted({ private: [] });
  t.same(await catalog(narrow), ['registry.test/team/public'], 'what is not listed any more');
  const first = await narrow.get('/v2/_catalog?n=1');
  t.equal(first.headers.link, undefined, 'and nobody is told that there is something');
  t.equal((await narrow.get('/v2/team/listed/tags/list')).status, 403);
});
