import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Repository } from '../../src/oci/reference.ts';
import type { Account, Reserve } from '../../src/upstream/account.ts';
import { Accounts, type Errand } from '../../src/upstream/accounts.ts';
import type { CredentialSource } from '../../src/upstream/credentials.ts';
import { UpstreamError } from '../../src/upstream/errors.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { failureOf } from './registry.ts';

const [app, other] = ['team/app', 'team/other'] as Repository[] as [Repository, Repository];
const nobody: CredentialSource = { kind: 'anonymous' };
const pull = { repository: app, isPull: true, isCounted: true, isBackground: false, isAnonymous: false };
const head = { ...pull, isPull: false };
const refused = new UpstreamError('no', { reason: 'denied', host: 'registry.test', status: 401 });

function login(username: string, password = 'hunter2'): CredentialSource {
  return { kind: 'password', username, password };
}

function start(credentials: CredentialSource[], reserve: Reserve = 0) {
  const clock = { nowMs: 1e12 };
  const url = new URL('http://registry.test');
  const now = (): number => clock.nowMs;
  const accounts = new Accounts({
    ...{ host: 'registry.test', url, credentials, reserve, now, random: () => 0 },
    onRejected: () => undefined,
  });
  const tried = new Set<Account>();
  const choose = (errand: Errand = pull, but = tried) => accounts.choose(errand, but);
  const who = async (errand?: Errand) => accounts.nameOf(await choose(errand));
  /** as if a manifest had been pulled, and what is left were said */
  const pulled = async (remaining: number, limit = 100, source?: string): Promise<Account> => {
    const account = await choose();
    accounts.learnFrom(account, pull, true)(200, { limit, remaining, windowS: 3600, source });
    return account;
  };
  return { clock, accounts, choose, who, pulled };
}

t.test('without credentials there is one, and it is nobody', async (t) => {
  const { accounts, who } = start([]);
  t.equal(await who(), 'anonymous');
  t.same(
    accounts.states.map(({ account }) => account),
    ['anonymous'],
  );
});

t.test('the first asks, until another has more than twice as many left', async (t) => {
  const { pulled, who } = start([login('a'), login('b')]);
  const names = [];
  for (const remaining of [99, 60, 50]) {
    names.push(await who());
    await pulled(remaining);
  }
  t.same(names, ['a', 'a', 'a']);
  t.equal(await who(), 'a', 'the other is taken to have a hundred: that is twice as many');
  await pulled(49);
  t.equal(await who(), 'b');
  await pulled(30);
  t.equal(await who(), 'b', '49 are not more than twice 30');
  await pulled(24);
  t.equal(await who(), 'a');
  t.equal(await who(head), 'a', 'it asks everything');
});

t.test('what is exhausted asks when nobody has more', async (t) => {
  const { pulled, who } = start([login('a'), login('b')]);
  await pulled(0);
  t.equal(await who(), 'b');
  await pulled(0);
  t.equal(await who(), 'b', 'upstream still answers sometimes');
});

t.test('what upstream said is forgotten after its window', async (t) => {
  const { clock, pulled, who } = start([login('a'), login('b')]);
  await pulled(10);
  t.equal(await who(), 'b');
  await pulled(4);
  t.equal(await who(), 'a');
  clock.nowMs += 3600_000;
  t.equal(await who(), 'a', 'both are full again');
});

t.test('whoever met its limit pulls nothing; what does not count goes on', async (t) => {
  const { accounts, clock, choose, who } = start([login('a'), login('b')]);
  accounts.exhaust(await choose(), 60_000);
  t.equal(await who(), 'b');
  accounts.exhaust(await choose(), 30_000);
  const failure = { reason: 'throttled', limit: 'pulls', status: 429, retryAfterMs: 30_000 };
  t.match(await failureOf(choose()), failure, 'the soonest is told');
  t.equal(await who({ ...head, isCounted: false }), 'b');
  clock.nowMs += 30_000;
  t.equal(await who(), 'b');
});

t.test('who is counted as one rests as one', async (t) => {
  const { accounts, choose, pulled } = start([login('a'), login('a', 'another')]);
  await pulled(40, 100, 'id-of-a');
  const second = await pulled(30, 100, 'id-of-a');
  accounts.exhaust(second, 60_000);
  t.match(await failureOf(choose()), { reason: 'throttled', retryAfterMs: 60_000 });
});

t.test('a limit lifts as soon as an answer counts pulls left; once', async (t) => {
  const { accounts, choose, who } = start([login('a')]);
  const left = { limit: 100, remaining: 1, windowS: 3600, source: undefined };
  const account = await choose();
  const before = accounts.learnFrom(account, head, true);
  accounts.exhaust(account, 60_000);
  before(200, left);
  t.match(await failureOf(choose()), { reason: 'throttled' }, 'not by what was asked before');
  accounts.learnFrom(account, head, true)(200, { ...left, remaining: 0 });
  t.match(await failureOf(choose()), { reason: 'throttled' }, 'nor while nothing is left');
  accounts.learnFrom(account, head, true)(200, left);
  t.equal(await who(), 'a');
  accounts.exhaust(account, 60_000);
  accounts.learnFrom(account, head, true)(200, left);
  t.match(await failureOf(choose()), { reason: 'throttled' }, 'it was no help the last time');
});

t.test('while nobody may pull, HEAD goes round and finds who may again', async (t) => {
  const { accounts, clock, choose, who } = start([login('a'), login('b')]);
  const nothing = { limit: 100, remaining: 0, windowS: 3600, source: undefined };
  for (const ms of [1, 2]) {
    accounts.exhaust(await choose(), 60_000);
    clock.nowMs += ms;
  }
  const names = [];
  for (let n = 0; n < 4; n++) {
    const account = await choose(head);
    names.push(accounts.nameOf(account));
    clock.nowMs += 1;
    accounts.learnFrom(account, head, true)(200, nothing);
  }
  t.same(names, ['a', 'b', 'a', 'b']);
  const account = await choose(head);
  accounts.learnFrom(account, head, true)(200, { ...nothing, remaining: 9 });
  t.equal(await choose(), account);
  t.equal(await who(head), accounts.nameOf(account));
});

t.test('a login that is refused rests longer each time, and is then tried by one', async (t) => {
  const { accounts, clock, choose, who } = start([login('a'), login('b')]);
  const account = await choose();
  account.reject(refused);
  t.equal(await who(), 'b');
  for (const restMs of [10_000, 20_000]) {
    t.equal(accounts.states[0]?.rejectedUntilMs, clock.nowMs + restMs);
    (await choose()).deny(app);
    clock.nowMs += restMs;
    t.equal(await choose(), account, 'it is tried again where nobody else may');
    t.equal(await who(), 'b', 'by one');
    account.reject(refused);
  }
  clock.nowMs += 40_000;
  await choose();
  accounts.learnFrom(account, pull, true)(200, undefined);
  t.equal(accounts.states[0]?.rejectedUntilMs, undefined, 'it is accepted');
});

t.test('with every login refused, the refusal is told from memory', async (t) => {
  const { choose } = start([login('a')]);
  (await choose()).reject(refused);
  t.equal(await failureOf(choose()), refused);
  t.equal(await failureOf(choose(head)), refused);
});

t.test('a repository that one may not read is read by another', async (t) => {
  const { clock, choose, who } = start([login('a'), login('b')]);
  const first = await choose();
  first.deny(app);
  t.equal(await who(), 'b');
  t.equal(
    await who({ ...pull, repository: other }),
    'a',
    'a detour for one repository is none for the others',
  );
  (await choose()).deny(app);
  t.equal(await who(), 'a', 'where nobody may, one is asked again');
  t.match(await failureOf(choose(pull, new Set([first]))), { reason: 'denied' }, 'and only one');
  clock.nowMs += 5 * 60_000;
  t.equal(await who(), 'a');
});

t.test('the reserve is not for what nobody waits for', async (t) => {
  const { choose, pulled, who } = start([login('a')], { share: 0.1 });
  const background = { ...pull, isBackground: true };
  t.equal(await who(background), 'a', 'what was never counted is full');
  await pulled(11);
  t.equal(await who(background), 'a');
  await pulled(10);
  const failure = await failureOf(choose(background));
  t.match(failure, {
    reason: 'throttled',
    limit: 'pulls',
    message: /kept for clients/,
    retryAfterMs: 3600_000,
  });
  t.equal(await who(), 'a', 'clients get it');
  t.equal(await who({ ...background, isPull: false }), 'a', 'HEAD costs nothing');
});

t.test('a reserve by number', async (t) => {
  const { choose, pulled, who } = start([login('a'), login('b')], 20);
  const background = { ...pull, isBackground: true };
  await pulled(20, 30);
  t.equal(await who(), 'a');
  t.equal(await who(background), 'b', 'another has more than its reserve');
  const { accounts: none, choose: chooseNone } = start([login('a')], 0);
  none.learnFrom(
    await chooseNone(),
    pull,
    true,
  )(200, { limit: 1, remaining: 0, windowS: 1, source: undefined });
  t.ok(await chooseNone(background), 'none is kept');
  t.ok(await choose(background));
});

t.test('a stranger is nobody, whoever is configured', async (t) => {
  const { accounts, choose, who } = start([login('a')]);
  const stranger = { ...head, isAnonymous: true };
  t.equal(await who(stranger), 'anonymous');
  t.equal(await who(), 'a');
  (await choose(stranger)).deny(app);
  t.equal(await who(stranger), 'anonymous', 'is asked each time');
  t.equal(await who(), 'a', 'and says nothing about the others');
  t.equal(accounts.states.length, 1);
  (await choose()).reject(refused);
  t.equal(await who(stranger), 'anonymous');
});

async function writeConfig(t: Test, auths: object) {
  const file = join(await makeDirectory(t), 'config.json');
  await writeFile(file, JSON.stringify({ auths }));
  return { kind: 'dockerConfig' as const, file };
}

t.test('a configuration of Docker’s without a login is no account', async (t) => {
  const empty = await writeConfig(t, {});
  t.equal(await start([empty, login('b')]).who(), 'b');
  const { accounts, clock, who } = start([empty]);
  t.equal(await who(), 'anonymous', 'without any, nobody asks');
  t.same(
    accounts.states.map(({ account }) => account),
    ['anonymous'],
  );
  const auth = Buffer.from('c:hunter2').toString('base64');
  await writeFile(empty.file, JSON.stringify({ auths: { 'registry.test': { auth } } }));
  t.equal(await who(), 'anonymous');
  clock.nowMs += 5 * 60_000;
  t.equal(await who(), 'c', 'it is looked at again');
});

t.test('a configuration that cannot be read does not keep another account from asking', async (t) => {
  const broken = await writeConfig(t, {});
  await writeFile(broken.file, '{"auths":{"x":{"auth":"c2VjcmV0');
  t.equal(await start([broken, login('b')]).who(), 'b');
  const { choose } = start([broken]);
  t.match(
    await failureOf(choose()),
    { reason: 'token', message: /cannot be had$/, cause: { message: /not valid JSON/ } },
    'nor goes on as nobody',
  );
});

t.test('names tell accounts apart, and are never a secret', async (t) => {
  const sources = [login('a'), login('a', 'x'), login('dop_v1', 'dop_v1'), nobody, login('l'.repeat(999))];
  const { accounts } = start(sources);
  t.same(
    accounts.states.map(({ account }) => account),
    ['a', 'a#2', 'token', 'anonymous', 'l'.repeat(64)],
  );
  const identity = await writeConfig(t, { 'registry.test': { identitytoken: 'secret' } });
  t.equal(await start([identity]).who(), 'token');
});
