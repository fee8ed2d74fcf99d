import { inspect } from 'node:util';
import t, { type Test } from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import type { Login } from '../../src/upstream/docker-config.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { type TokenQuestion, Tokens } from '../../src/upstream/tokens.ts';
import { Transport } from '../../src/upstream/transport.ts';
import { failureOf, type Respond, serve } from './registry.ts';

const someone: Login = { username: 'someone', password: 'hunter2' };
const basic = `Basic ${Buffer.from('someone:hunter2').toString('base64')}`;

/** A token server, and tokens that are had from it. */
async function open(t: Test, respond: Respond) {
  const { url, seen } = await serve(t, respond);
  const clock = { nowMs: 1e12 };
  const told: string[] = [];
  const transport = new Transport({
    connections: 8,
    connectMs: 1000,
    headersMs: 1000,
    idleMs: 1000,
    proxy: {},
    own: url,
    tls: upstreamDefaults.tls,
    offline: new OfflineSwitch(false),
  });
  t.teardown(() => transport.close());
  const observe = (result: string): unknown => told.push(result);
  const tokens = new Tokens({ transport, now: () => clock.nowMs, observe });
  const question = (login?: Login, scope = 'repository:a:pull'): TokenQuestion => {
    return { realm: new URL('/token?account=x', url), service: 'registry', scope, login };
  };
  return { tokens, question, seen, clock, told };
}

const send = (answer: unknown, status = 200): Respond => {
  return (_, response) =>
    response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
};
const counting: Respond = (_, response, count) =>
  response.end(JSON.stringify({ token: `t${count}`, expires_in: 300 }));

t.test('the question', async (t) => {
  const { tokens, question, seen } = await open(t, counting);
  t.equal(await tokens.get(question()), 't0');
  t.equal(await tokens.get(question(someone)), 't1', 'another login is another token');
  t.same(
    seen.map(({ method, path, headers }) => [method, path, headers.authorization]),
    [
      ['GET', '/token?account=x&service=registry&scope=repository%3Aa%3Apull', undefined],
      ['GET', '/token?account=x&service=registry&scope=repository%3Aa%3Apull', basic],
    ],
  );
});

t.test('one question for all who wait, and none while the token lives', async (t) => {
  const { tokens, question, seen, clock, told } = await open(t, counting);
  const all = await Promise.all(Array.from({ length: 50 }, () => tokens.get(question())));
  t.same(new Set(all), new Set(['t0']));
  t.equal(await tokens.get(question(undefined, 'repository:b:pull')), 't1', 'another scope');
  clock.nowMs += 269_999;
  t.equal(await tokens.get(question()), 't0');
  clock.nowMs += 1;
  t.equal(await tokens.get(question()), 't2', 'shortly before its end');
  t.equal(seen.length, 3);
  t.same(told, ['fetched', 'fetched', 'fetched']);
});

t.test('how long a token lives', async (t) => {
  const cases: [expiresIn: unknown, livesMs: number][] = [
    [undefined, 54_000],
    [60, 54_000],
    [10, 9_000],
    [3600, 3_570_000],
    [0, 54_000],
    [-5, 54_000],
    ['300', 54_000],
    [null, 54_000],
  ];
  for (const [expiresIn, livesMs] of cases) {
    const { tokens, question, seen, clock } = await open(t, send({ token: 'x', expires_in: expiresIn }));
    await tokens.get(question());
    clock.nowMs += livesMs - 1;
    await tokens.get(question());
    t.equal(seen.length, 1, `${expiresIn}: still`);
    clock.nowMs += 1;
    await tokens.get(question());
    t.equal(seen.length, 2, `${expiresIn}: no more`);
  }
});

t.test('a token that was refused is not offered again', async (t) => {
  const { tokens, question } = await open(t, counting);
  const token = await tokens.get(question());
  tokens.reject(question(), 'another');
  t.equal(await tokens.get(question()), token);
  tokens.reject(question(), token);
  t.equal(await tokens.get(question()), 't1');
});

t.test('either name of the token', async (t) => {
  const answers = [
    { token: 'x' },
    { access_token: 'x' },
    { token: 'x', access_token: 'y' },
    { token: '', access_token: 'x' },
  ];
  for (const answer of answers) {
    const { tokens, question } = await open(t, send(answer));
    t.equal(await tokens.get(question()), 'x', JSON.stringify(answer));
  }
});

t.test('a server that speaks OAuth2 alone', async (t) => {
  for (const status of [404, 405]) {
    const { tokens, question, seen } = await open(t, (seen, response) =>
      seen.method === 'GET' ? response.writeHead(status).end() : response.end('{"access_token":"x"}'),
    );
    t.equal(await tokens.get(question(someone)), 'x');
    t.equal(seen[1]?.headers['content-type'], 'application/x-www-form-urlencoded');
    t.same(Object.fromEntries(new URLSearchParams(seen[1]?.body)), {
      ...{ grant_type: 'password', username: 'someone', password: 'hunter2' },
      ...{ client_id: 'hubcap', scope: 'repository:a:pull', service: 'registry' },
    });
    t.match(
      await failureOf(tokens.get(question())),
      { reason: 'token', status },
      'nothing to post without a login',
    );
  }
});

t.test('an identity token is exchanged', async (t) => {
  const { tokens, question, seen } = await open(t, send({ access_token: 'x' }));
  t.equal(await tokens.get(question({ username: '', password: '', identityToken: 'refresh' })), 'x');
  t.equal(seen.length, 1);
  t.match(Object.fromEntries(new URLSearchParams(seen[0]?.body)), {
    grant_type: 'refresh_token',
    refresh_token: 'refresh',
  });
  t.equal(seen[0]?.headers.authorization, undefined);
});

t.test('an identity token is the password of a server that does not speak OAuth2', async (t) => {
  for (const status of [400, 401, 404, 405]) {
    const { tokens, question, seen } = await open(t, (seen, response) =>
      seen.method === 'POST' ? response.writeHead(status).end() : response.end('{"token":"x"}'),
    );
    t.equal(await tokens.get(question({ username: 'someone', password: '', identityToken: 'hunter2' })), 'x');
    t.equal(seen[1]?.headers.authorization, basic);
    const failure = await failureOf(
      tokens.get(question({ username: '', password: '', identityToken: 'hunter2' }, 'repository:b:pull')),
    );
    t.match(failure, { status }, 'nobody is no user');
    t.notMatch(inspect(failure, { depth: 9 }), /hunter2/);
  }
});

t.test('a token server that limits the rate is left alone, for whatever scope', async (t) => {
  const { tokens, question, seen, clock } = await open(t, (_, response, count) =>
    count < 2
      ? response.writeHead(429, count === 0 ? { 'retry-after': '90' } : {}).end()
      : response.end('{"token":"x"}'),
  );
  const failure = { reason: 'throttled', limit: 'requests', retryAfterMs: 90_000 };
  t.match(await failureOf(tokens.get(question())), failure);
  t.match(await failureOf(tokens.get(question(someone, 'repository:b:pull'))), failure);
  clock.nowMs += 90_000;
  t.match(await failureOf(tokens.get(question())), { reason: 'throttled' });
  clock.nowMs += 45_000;
  const scopes = ['a', 'b', 'c', 'd'].map((name) => `repository:${name}:pull`);
  const asked = await Promise.allSettled(scopes.map((scope) => tokens.get(question(undefined, scope))));
  t.same(
    asked.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'rejected'],
    'after a time that it did not name one goes ahead',
  );
  t.equal(await tokens.get(question(undefined, 'repository:d:pull')), 'x');
  t.equal(seen.length, 4);
});

t.test('two accounts of one user have tokens of their own', async (t) => {
  const { tokens, question, seen } = await open(t, counting);
  t.equal(await tokens.get({ ...question(someone), holder: 0 }), 't0');
  t.equal(await tokens.get({ ...question(someone), holder: 1 }), 't1');
  t.equal(seen.length, 2);
});

t.test('an anonymous token is not taken for that of an identity', async (t) => {
  const { tokens, question } = await open(t, counting);
  const anonymous = await tokens.get(question());
  t.not(await tokens.get(question({ username: '', password: '', identityToken: 'refresh' })), anonymous);
});

t.test('answers that hold no token', async (t) => {
  const answers = [
    '',
    'null',
    '[]',
    '<html>',
    '{}',
    '{"token":7}',
    '{"token":""}',
    '{"token":"a b"}',
    '{"token":"a\\nb"}',
  ];
  for (const answer of [...answers, '{"token":"ä"}']) {
    const { tokens, question, told } = await open(t, send(answer));
    t.match(await failureOf(tokens.get(question())), { reason: 'token' }, answer);
    t.same(told, ['failed']);
  }
  const { tokens, question } = await open(t, send(`{"token":"${'a'.repeat(300_000)}"}`));
  t.match(await failureOf(tokens.get(question())), { reason: 'bad-answer' });
});

t.test('refusals and failures, none of which tells a secret', async (t) => {
  const cases: [status: number, reason: string, asked: number][] = [
    [401, 'denied', 1],
    [403, 'denied', 1],
    [400, 'token', 1],
    [302, 'token', 1],
    [429, 'throttled', 1],
    [500, 'server-error', 1],
    [503, 'server-error', 1],
  ];
  for (const [status, reason, asked] of cases) {
    const { tokens, question, seen, told } = await open(t, send('hunter2 is wrong', status));
    const failure = await failureOf(tokens.get(question(someone)));
    t.match(failure, { reason, status });
    t.notMatch(inspect(failure, { depth: 9, showHidden: true }), new RegExp(`hunter2|${basic}|account=x`));
    t.equal(seen.length, asked, `${status}: asked ${asked} times`);
    t.same(told, [reason === 'denied' ? 'refused' : 'failed']);
  }
  const { tokens, question, told } = await open(t, (_, response) => response.socket?.destroy());
  const failure = await failureOf(tokens.get(question(someone)));
  t.match(failure, { reason: 'reset' });
  t.notMatch(inspect(failure, { depth: 9, showHidden: true }), new RegExp(`hunter2|${basic}`));
  t.same(told, ['failed']);
});

t.test('a failure is not remembered', async (t) => {
  const { tokens, question } = await open(t, (_, response, count) =>
    count === 0 ? response.writeHead(400).end() : response.end('{"token":"x"}'),
  );
  await failureOf(tokens.get(question()));
  t.equal(await tokens.get(question()), 'x');
});
