import t, { type Test } from 'tap';
import type { MirroredUpstream } from '../../src/mirror/mirrored-upstream.ts';
import type { Place } from '../../src/mirror/place.ts';
import { Visibility } from '../../src/mirror/visibility.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { parseRepository } from '../../src/oci/reference.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { UpstreamError } from '../../src/upstream/errors.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { makeClock } from '../helpers/clock.ts';

type Word = 'public' | 'private' | 'absent' | 'trouble';
const TTL_MS = 3_600_000;
const digest = digestOf('any');
const wish = (tag: string) => ({ kind: 'manifest', path: `manifests/${tag}` }) as const;

/** An upstream that says to strangers, and to hubcap's login, what the test wants; `asked` is what strangers asked. */
function start(t: Test) {
  const clock = makeClock();
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const catalog = new Catalog(database, (error) => t.fail('the catalog', { error }));
  new ContentIndex(database).add({ digest, size: 10 }, 1);
  const says: { strangers: (path: string) => Word; login: 'found' | 'absent' } = {
    strangers: () => 'public',
    login: 'found',
  };
  const asked: string[] = [];
  const client = {
    hasCredentials: true,
    isStranger: false,
    isPublic: async (_repository: string, _kind: string, path: string): Promise<Word> => {
      asked.push(path);
      await new Promise(setImmediate);
      const word = says.strangers(path);
      if (word === 'trouble')
        throw new UpstreamError('it is down', { reason: 'reset', host: 'registry.test' });
      return word;
    },
    headManifest: async () => (says.login === 'found' ? { digest, mediaType: 'any', size: 1 } : undefined),
  };
  const settings = { private: ['team/listed*'], publicTtlMs: TTL_MS, notFoundTtlMs: 10_000, confirmMs: 100 };
  const upstream = { ...settings, host: 'registry.test', client } as unknown as MirroredUpstream;
  const place = (name: string): Place => {
    const repository = parseRepository(name);
    if (!repository) throw new Error('it is a name');
    return { upstream, repository };
  };
  const mode = { isOffline: false };
  const options = { catalog, isOffline: () => mode.isOffline, now: clock.now };
  const begin = () => new Visibility(options);
  return { clock, catalog, says, asked, client, upstream, place, mode, begin };
}

/** What a repository needs to be in the catalog, and to hold something. */
function hold(catalog: Catalog, { repository }: Place): void {
  catalog.grant({ upstream: 'registry.test', name: repository }, digest, 1);
}

/** What has an upstream's place when its configuration was loaded again. */
const clientOf = (settings: { hasCredentials: boolean; isStranger: boolean }): Upstream =>
  settings as unknown as Upstream;
const STRANGER = { hasCredentials: false, isStranger: true };
const NAMED = { hasCredentials: true, isStranger: false };

t.test('who asks for what is absent does not speak for those who ask for something else', async (t) => {
  const { says, asked, place, begin } = start(t);
  const visibility = begin();
  says.strangers = (path) => (path.endsWith('nope') ? 'absent' : 'public');
  const [absent, here] = await Promise.allSettled(
    ['nope', 'here'].map((tag) => visibility.check(place('team/app'), wish(tag))),
  );
  t.match(absent, { status: 'rejected', reason: { code: 'MANIFEST_UNKNOWN', status: 404 } });
  t.match(here, { status: 'fulfilled' });
  t.same(asked, ['manifests/nope', 'manifests/here']);
});

t.test('what is known holds for its time, in this process and the next', async (t) => {
  const { clock, catalog, asked, place, begin } = start(t);
  const app = place('team/app');
  const first = begin();
  t.notOk(first.isOpen(app));
  await first.check(app, wish('v1'));
  t.ok(first.isOpen(app));
  hold(catalog, app);
  first.granted(app, app.upstream.client);
  clock.pass(TTL_MS - 1);
  const next = begin();
  await next.check(app, wish('v1'));
  t.ok(next.isOpen(app));
  t.equal(asked.length, 1);
  clock.pass(1);
  t.notOk(next.isOpen(app));
  await next.check(app, wish('v1'));
  t.equal(asked.length, 2);
  t.ok(next.isOpen(app));
});

t.test('trouble: what was public is, and upstream is not asked for a while', async (t) => {
  const { clock, says, asked, place, begin } = start(t);
  const visibility = begin();
  await visibility.check(place('team/app'), wish('v1'));
  says.strangers = () => 'trouble';
  clock.pass(10 * TTL_MS);
  for (let n = 0; n < 3; n++) await visibility.check(place('team/app'), wish('v1'));
  t.equal(asked.length, 2);
  clock.pass(10_000);
  await visibility.check(place('team/app'), wish('v1'));
  t.equal(asked.length, 3);
  await t.rejects(visibility.check(place('team/other'), wish('v1')), { code: 'UNAVAILABLE', status: 503 });
});

t.test(
  'what strangers are told is absent: deleted where the login is told so too, else hidden',
  async (t) => {
    const { clock, catalog, says, place, begin } = start(t);
    const visibility = begin();
    const app = place('team/app');
    hold(catalog, app);
    const known = { kind: 'manifest', path: `manifests/${digest}` } as const;
    await visibility.check(app, wish('v1'));
    says.strangers = () => 'absent';
    says.login = 'absent';
    clock.pass(TTL_MS);
    await visibility.check(app, known);
    t.ok(visibility.isServable(app), 'it hides nothing');
    says.login = 'found';
    clock.pass(60_000);
    await t.rejects(visibility.check(app, known), { code: 'MANIFEST_UNKNOWN', status: 404 });
    t.notOk(visibility.isServable(app), 'nothing of it is served any more');
    t.notOk(begin().isServable(app));
  },
);

t.test('what would be served is told without asking', async (t) => {
  const { clock, catalog, says, asked, client, place, mode, begin } = start(t);
  const visibility = begin();
  const [app, listed, secret] = ['team/app', 'team/listed-2', 'team/secret'].map(place);
  if (!app || !listed || !secret) throw new Error('these are places');
  for (const one of [app, listed, secret]) hold(catalog, one);
  t.ok(visibility.isServable(listed));
  t.notOk(visibility.isServable(app), 'it is not known');
  await visibility.check(app, wish('v1'));
  says.strangers = () => 'private';
  await t.rejects(visibility.check(secret, wish('v1')), { code: 'DENIED', status: 403 });
  clock.pass(10 * TTL_MS);
  const { length } = asked;
  for (const one of [visibility, begin()]) {
    t.ok(one.isServable(app), 'known to have been public');
    t.notOk(one.isServable(secret));
    mode.isOffline = true;
    await one.check(app, wish('v1'));
    await one.check(listed, wish('v1'));
    await t.rejects(one.check(secret, wish('v1')), { status: 404, message: /offline/ });
    mode.isOffline = false;
  }
  t.equal(asked.length, length);
  await t.rejects(visibility.check(app, wish('v1')), { code: 'DENIED' });
  t.notOk(begin().isServable(app), 'that it is private is remembered');
  client.hasCredentials = false;
  t.ok(
    visibility.isServable(place('team/unknown')),
    'without credentials, what upstream gives is for everybody',
  );
  t.notOk(visibility.isServable(secret), 'but not what is here and was refused to strangers');
  says.strangers = () => 'public';
  clock.pass(60_000);
  await visibility.check(secret, wish('v1'));
  t.ok(begin().isServable(secret), 'until upstream says otherwise');
});

t.test('what credentials were given is not for everybody, though they are gone when it comes', async (t) => {
  const { catalog, says, upstream, place, begin } = start(t);
  says.strangers = () => 'private';
  const [before, now] = [clientOf(NAMED), clientOf(STRANGER)];
  upstream.client = now;
  const app = place('team/app');
  hold(catalog, app);
  const visibility = begin();
  visibility.granted(app, before);
  t.notOk(visibility.isServable(app));
  t.notOk(begin().isServable(app), 'nor after a restart');
});

t.test('what a stranger began may have been gone on with by credentials that came', async (t) => {
  const { catalog, upstream, place, begin } = start(t);
  const app = place('team/app');
  hold(catalog, app);
  upstream.client = clientOf(NAMED);
  begin().granted(app, clientOf(STRANGER));
  t.notOk(begin().isServable(app));
});

t.test('what a nearer copy gives to strangers is not what the registry gives to them', async (t) => {
  const { catalog, upstream, place, begin } = start(t);
  const [near, far] = [place('team/near'), place('team/far')];
  for (const one of [near, far]) hold(catalog, one);
  const mirrored = clientOf({ hasCredentials: false, isStranger: false });
  for (const [one, client] of [
    [near, mirrored],
    [far, clientOf(STRANGER)],
  ] as const) {
    upstream.client = client;
    begin().granted(one, client);
    t.ok(begin().isServable(one), 'without credentials it is served');
  }
  upstream.client = clientOf(NAMED);
  t.notOk(begin().isServable(near));
  t.ok(begin().isServable(far));
});

t.test(
  'what is not known is not looked for with credentials, once strangers are told it is absent',
  async (t) => {
    const { clock, catalog, says, client, place, begin } = start(t);
    const visibility = begin();
    const app = place('team/app');
    hold(catalog, app);
    await visibility.check(app, wish('v1'));
    says.strangers = () => 'absent';
    says.login = 'absent';
    clock.pass(TTL_MS);
    await t.rejects(visibility.check(app, wish('next')), { code: 'MANIFEST_UNKNOWN' });
    says.login = 'found';
    clock.pass(30_000);
    t.ok(client.hasCredentials);
    await t.rejects(
      visibility.check(app, wish('next')),
      { code: 'MANIFEST_UNKNOWN' },
      'pushed since, where strangers see nothing',
    );
  },
);

t.test('a clock that is set back does not keep upstream from being asked', async (t) => {
  const { clock, says, asked, place, begin } = start(t);
  const visibility = begin();
  const app = place('team/app');
  await visibility.check(app, wish('v1'));
  says.strangers = () => 'trouble';
  clock.pass(TTL_MS);
  await visibility.check(app, wish('v1'));
  says.strangers = () => 'private';
  clock.pass(-2 * TTL_MS);
  await t.rejects(visibility.check(app, wish('v1')), { code: 'DENIED' });
  t.equal(asked.length, 3);
});

t.test('a repository whose name is as a path below another is not answered for by that one', async (t) => {
  const { says, place, begin } = start(t);
  const visibility = begin();
  const [outer, inner] = [place('team'), place('team/manifests/here')];
  says.strangers = (path) =>
    path === 'manifests/nope' ? 'absent' : path === 'manifests/here' ? 'public' : 'private';
  const asked = [visibility.check(outer, wish('nope')), visibility.check(outer, wish('here'))];
  const settled = Promise.allSettled(asked);
  await new Promise(setImmediate);
  await new Promise(process.nextTick);
  await t.rejects(visibility.check(inner, wish('secret')), { code: 'DENIED' });
  t.match(await settled, [{ status: 'rejected' }, { status: 'fulfilled' }]);
});
