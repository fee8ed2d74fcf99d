import t from 'tap';
import { parseRepository } from '../../src/oci/reference.ts';
import { startCdn } from '../helpers/cdn.ts';
import { imageOf } from '../helpers/content.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200, only, redirecting, tokened } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { connect, failureOf } from './registry.ts';

const image = imageOf('app', [1000]);
const credentials = [{ kind: 'password', username: 'someone', password: 'secret-password' } as const];
const layer = `blobs/${image.layers[0]?.digest}`;
const wishes = [
  ['manifest', 'manifests/latest'],
  ['manifest', `manifests/${image.manifest.digest}`],
  ['blob', layer],
  ['tags', 'tags/list'],
  ['referrers', `referrers/${image.manifest.digest}`],
] as const;

async function start(t: Parameters<typeof startRegistry>[0], realms: string[] = []) {
  const repository = parseRepository('team/app');
  if (!repository) throw new Error('it is a name');
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const { upstream } = connect(t, new URL(registry.url), { credentials, realms, retries: 0 });
  const ask = (kind: (typeof wishes)[number][0], path: string) => upstream.isPublic(repository, kind, path);
  return { registry, ask };
}

function noLoginWasShown({ asked }: Registry): boolean {
  return asked.every(({ headers }) => headers.authorization?.startsWith('Basic') !== true);
}

t.test('what everybody is given is public, what nobody has is absent', async (t) => {
  const { registry, ask } = await start(t);
  for (const [kind, path] of wishes) t.equal(await ask(kind, path), 'public', path);
  for (const path of ['manifests/nope', `blobs/${image.manifest.digest}`])
    t.equal(await ask(path.startsWith('b') ? 'blob' : 'manifest', path), 'absent', path);
  t.ok(noLoginWasShown(registry));
  t.equal(registry.count('GET', '/manifests/'), 0, 'no pull is spent on it');
});

t.test('it is asked in vain for what needs a login', async (t) => {
  const tokens = await startTokenServer(t, { login: { username: 'someone', password: 'secret-password' } });
  const { registry, ask } = await start(t, [tokens.host]);
  const refusals: [name: string, persona: Persona][] = [
    ['403', failing(403)],
    ['a login in each request', failing(401, { 'www-authenticate': 'Basic realm="here"' })],
    ['a token', tokened(tokens)],
  ];
  for (const [name, persona] of refusals) {
    registry.act(persona);
    for (const [kind, path] of wishes) t.equal(await ask(kind, path), 'private', `${name}: ${path}`);
  }
  tokens.speaksGet = false;
  t.equal(await ask('manifest', 'manifests/v1'), 'private', 'a token server that has none for strangers');
  t.ok(noLoginWasShown(registry));
  t.same(tokens.shown, []);
});

t.test('content elsewhere is looked for there', async (t) => {
  const { registry, ask } = await start(t);
  const cdn = await startCdn(t, () => registry);
  registry.act(redirecting(cdn));
  t.equal(await ask('blob', layer), 'public');
  t.equal(cdn.bytesSent('GET'), 1, 'one byte is enough');
});

t.test('a page is no yes, wherever it is', async (t) => {
  const { registry, ask } = await start(t);
  const login: Persona = only(({ path }) => path !== '/login', failing(302, { location: '/login' }));
  for (const personas of [[htmlWith200()], [login, htmlWith200()]]) {
    registry.act(...personas);
    for (const [kind, path] of wishes)
      t.match(await failureOf(ask(kind, path)), { name: 'UpstreamError', reason: 'bad-answer' }, path);
  }
});

t.test('trouble is neither yes nor no', async (t) => {
  const { registry, ask } = await start(t);
  for (const [status, reason] of [
    [500, 'server-error'],
    [418, 'bad-answer'],
    [429, 'throttled'],
  ] as const) {
    registry.act(failing(status, { 'retry-after': '0' }));
    t.match(await failureOf(ask('manifest', 'manifests/latest')), { reason });
  }
});

const json =
  (text: string): Persona =>
  () => ({
    status: 200,
    headers: { 'content-type': 'application/json', 'content-length': String(text.length) },
    body: Buffer.from(text),
  });

t.test('an error with status 200 is no yes', async (t) => {
  const { registry, ask } = await start(t);
  registry.act(json('{"errors":[{"code":"UNAUTHORIZED"}]}'));
  for (const [kind, path] of wishes) {
    if (kind === 'referrers') continue; // asked as a manifest
    t.match(await failureOf(ask(kind, path)), { name: 'UpstreamError', reason: 'bad-answer' }, path);
  }
});

t.test('a list of tags that shows nothing shows nobody that it is public', async (t) => {
  const { registry, ask } = await start(t);
  for (const tags of ['[]', 'null']) {
    registry.act(json(`{"name":"team/app","tags":${tags}}`));
    t.equal(await ask('tags', 'tags/list'), 'absent');
  }
});

t.test('a registry that knows no ranges gives the whole blob', async (t) => {
  const { registry, ask } = await start(t);
  const { body = Buffer.alloc(0) } = image.layers[0] ?? {};
  registry.act(() => ({ status: 200, headers: { 'content-length': String(body.length) }, body }));
  t.equal(await ask('blob', layer), 'public');
});

t.test('what another registry says to which one sends is what is said', async (t) => {
  const { registry, ask } = await start(t);
  const other = await startRegistry(t);
  other.push('team/app', image, 'latest');
  registry.act(({ path }) => ({ status: 307, headers: { location: `${other.url}${path}` } }));
  t.equal(await ask('manifest', 'manifests/latest'), 'public');
  t.equal(await ask('manifest', 'manifests/nope'), 'absent');
  for (const status of [401, 403]) {
    other.act(failing(status));
    t.equal(await ask('manifest', 'manifests/latest'), 'private', `${status}`);
    t.equal(await ask('tags', 'tags/list'), 'private', `${status}`);
    t.match(
      await failureOf(ask('blob', layer)),
      { reason: 'redirect' },
      'a store says nothing about the registry',
    );
  }
});
