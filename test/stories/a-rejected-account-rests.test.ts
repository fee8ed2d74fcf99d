import t, { type Test } from 'tap';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Asked } from '../helpers/persona-server.ts';
import { failing, manifests, only, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer, type TokenServerOptions } from '../helpers/token-server.ts';

const image = imageOf('app', [1000]);
const repositories = Array.from({ length: 8 }, (_, n) => `team/app${n}`);
const anna = { username: 'anna', password: 'secret-of-anna' };
const bert = { username: 'bert', password: 'secret-of-bert' };
const password = (login: typeof anna) => ({ kind: 'password' as const, ...login });
const latest = (repository: string): string => `/v2/${repository}/manifests/latest`;

async function start(t: Test, options: TokenServerOptions, credentials: ReturnType<typeof password>[]) {
  const registry = await startRegistry(t);
  for (const repository of repositories) registry.push(repository, image, 'latest');
  const tokens = await startTokenServer(t, options);
  registry.act(tokened(tokens));
  const upstream = {
    at: registry,
    realms: [tokens.host],
    credentials,
    private: ['*'],
    retries: 0,
    tagTtlMs: 0,
  };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': upstream } });
  const shown = ({ username, password }: typeof anna): number => {
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    return tokens.shown.filter((one) => one === basic).length;
  };
  return { registry, tokens, mirror, shown };
}

t.test('a wrong password is shown once; the other account serves', async (t) => {
  const { mirror, shown } = await start(t, { logins: [bert] }, [password(anna), password(bert)]);
  for (const repository of repositories) t.equal((await mirror.manifest(latest(repository))).status, 200);
  t.equal(shown(anna), 1, 'it is about the account, not about a repository');
  t.equal(shown(bert), repositories.length);
  t.match(mirror.status().upstreams[0]?.accounts, [
    { account: 'anna', rejectedUntil: String },
    { account: 'bert', rejectedUntil: undefined },
  ]);
  t.ok((await mirror.metric('hubcap_upstream_resting_seconds', 'account="anna"', 'reason="rejected"')) > 5);
  const said = mirror.logs.filter((line) => line.includes('a login is not used'));
  t.equal(said.length, 1, 'who has two accounts hears that one is of no use');
  t.match(said[0], /"account":"anna"/);
  t.notMatch(JSON.stringify(mirror.status()) + mirror.logs.join(''), /secret-of/);
});

t.test('a wrong password alone is shown once, whichever repository is asked for', async (t) => {
  const { mirror, shown } = await start(t, { logins: [bert] }, [password(anna)]);
  for (const repository of repositories) t.equal((await mirror.manifest(latest(repository))).status, 403);
  t.equal(shown(anna), 1);
});

t.test('a wrong password is shown once when many repositories are asked for at once', async (t) => {
  const { mirror, shown } = await start(t, { logins: [bert] }, [password(anna), password(bert)]);
  const asked = repositories.map((repository) => mirror.manifest(latest(repository)));
  for (const { status } of await Promise.all(asked)) t.equal(status, 200);
  t.equal(shown(anna), 1);
});

t.test('a password that the registry itself refuses, by Basic', async (t) => {
  const { registry, mirror } = await start(t, {}, [password(anna), password(bert)]);
  const basic = `Basic ${Buffer.from('bert:secret-of-bert').toString('base64')}`;
  registry.act(({ headers }, answer) =>
    headers.authorization === basic
      ? answer()
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="registry"' } },
  );
  for (const repository of repositories) t.equal((await mirror.manifest(latest(repository))).status, 200);
  const others = registry.asked.filter(
    ({ headers }) => headers.authorization && headers.authorization !== basic,
  );
  t.equal(others.length, 1);
});

t.test('a password that the registry refuses by Basic is shown once to many questions at once', async (t) => {
  const { registry, mirror } = await start(t, {}, [password(anna), password(bert)]);
  const basic = `Basic ${Buffer.from('bert:secret-of-bert').toString('base64')}`;
  registry.act(({ headers }, answer) =>
    headers.authorization === basic
      ? answer()
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="registry"' } },
  );
  const asked = repositories.map((repository) => mirror.manifest(latest(repository)));
  for (const { status } of await Promise.all(asked)) t.equal(status, 200);
  const others = registry.asked.filter(
    ({ headers }) => headers.authorization && headers.authorization !== basic,
  );
  t.equal(others.length, 1);
});

t.test(
  'a repository that one account may not read is read by the other, and that is remembered',
  async (t) => {
    const { registry, tokens, mirror } = await start(t, { logins: [anna, bert] }, [
      password(anna),
      password(bert),
    ]);
    const isAnnas = ({ headers }: Asked): boolean =>
      tokens.holderOf(headers.authorization?.slice('Bearer '.length) ?? '') === 'anna';
    const isBertsAlone = ({ path }: Asked): boolean => path.includes('team/app0/');
    registry.act(
      tokened(tokens),
      only((asked) => manifests(asked) && isAnnas(asked) && isBertsAlone(asked), failing(403)),
    );
    for (let n = 0; n < 3; n++) t.equal((await mirror.manifest(latest('team/app0'))).status, 200);
    t.equal((await mirror.manifest(latest('team/app1'))).status, 200);
    t.equal(registry.asked.filter((one) => isAnnas(one) && isBertsAlone(one)).length, 1);
    t.equal(
      registry.asked.filter((one) => isAnnas(one)).length,
      2,
      'and the first goes on asking for the others',
    );
  },
);

t.test('who is refused everywhere is refused, and asked for once each time', async (t) => {
  const { registry, tokens, mirror } = await start(t, { logins: [anna, bert] }, [
    password(anna),
    password(bert),
  ]);
  registry.act(tokened(tokens), failing(403));
  for (const asked of [2, 3, 4]) {
    t.equal((await mirror.manifest(latest('team/app0'))).status, 403);
    t.equal(registry.asked.filter(({ status }) => status === 403).length, asked);
  }
});
