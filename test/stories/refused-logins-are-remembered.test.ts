import t from 'tap';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing, tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const image = imageOf('private', [100]);
const latest = '/v2/team/app/manifests/latest';
const login = { username: 'robot', password: 'correct' };

async function start(t: Parameters<typeof startRegistry>[0], password: string, retries: number) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const tokens = await startTokenServer(t, { login });
  registry.act(tokened(tokens));
  const credentials = [{ kind: 'password' as const, username: login.username, password }];
  const upstreams = {
    'registry.test': {
      at: registry,
      realms: [tokens.host],
      credentials,
      private: ['*'],
      retries,
      tagTtlMs: 0,
    },
  };
  return { tokens, mirror: await startMirror(t, { upstreams }) };
}

t.test('a wrong password is tried once, whoever asks', async (t) => {
  const { tokens, mirror } = await start(t, 'wrong', 3);
  for (let n = 0; n < 5; n++) t.ok((await mirror.manifest(latest)).status >= 400);
  const together = Array.from({ length: 5 }, () => mirror.get(`/v2/team/app/blobs/${image.config.digest}`));
  for (const { status } of await Promise.all(together)) t.ok(status >= 400);
  t.equal(tokens.shown.filter((one) => one.startsWith('Basic ')).length, 1);
});

t.test('a token server that fails is asked no more often than the retries say', async (t) => {
  const { tokens, mirror } = await start(t, login.password, 3);
  tokens.act(failing(503));
  for (const path of [latest, `/v2/team/app/blobs/${image.config.digest}`]) {
    const before = tokens.asked.length;
    const { status } = await mirror.manifest(path);
    t.ok(status >= 500 && status <= 504, `${status}`);
    const asked = tokens.asked.length - before;
    t.ok(asked >= 1 && asked <= 4, `asked ${asked} times`);
  }
  tokens.act();
  t.equal((await mirror.manifest(latest)).status, 200, 'and it works when the server does');
});
