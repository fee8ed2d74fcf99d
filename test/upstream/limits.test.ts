import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { parseReference, type Reference, type Repository } from '../../src/oci/reference.ts';
import type { UpstreamOptions } from '../../src/upstream/asker.ts';
import { connect, failureOf, type Respond, repository, serve } from './registry.ts';

const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] }));
const digest = digestOf(body);
const reference: Reference = parseReference('latest') ?? { kind: 'digest', digest };
const login = (username: string) => ({ kind: 'password' as const, username, password: 'hunter2' });
const outOfPulls = JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message: 'pull rate limit' }] });

/** A registry that answers as it is told at the time, and a client whose clock the test moves. */
async function start(t: Test, options: Partial<UpstreamOptions> = {}) {
  const answer = { status: 200, headers: {} as Record<string, string>, body: body.toString() };
  const { url, seen } = await serve(t, ({ method }, response) => {
    const headers = { 'content-type': OCI_MANIFEST, ...answer.headers };
    response.writeHead(answer.status, headers).end(method === 'HEAD' ? undefined : answer.body);
  });
  const clock = { nowMs: 1e12 };
  const { upstream } = connect(t, url, { now: () => clock.nowMs, random: () => 0, retries: 0, ...options });
  const say = (next: Partial<typeof answer>): void => {
    Object.assign(answer, { status: 200, headers: {}, body: body.toString() }, next);
  };
  const pull = (how = {}) => upstream.manifest(repository, reference, how);
  const head = () => upstream.headManifest(repository, reference);
  return { upstream, seen, clock, say, pull, head };
}

const requests = { reason: 'throttled', limit: 'requests', status: 429 };
const pulls = { reason: 'throttled', limit: 'pulls', status: 429 };

t.test(
  'a limit on requests without a time: half a minute, then longer each time, one question in between',
  async (t) => {
    const { upstream, seen, clock, say, pull, head } = await start(t);
    say({ status: 429 });
    t.match(await failureOf(head()), { ...requests, retryAfterMs: 30_000 });
    for (const ms of [30_000, 60_000, 120_000]) {
      clock.nowMs += ms - 1;
      for (const ask of [pull, head, () => upstream.headBlob(repository, digest)])
        t.match(await failureOf(ask()), { ...requests, retryAfterMs: 1 });
      const { length } = seen;
      clock.nowMs += 1;
      const failures = await Promise.all(Array.from({ length: 10 }, () => failureOf(pull())));
      for (const failure of failures) t.match(failure, requests);
      t.equal(seen.length, length + 1, 'one of ten is asked');
    }
    say({});
    clock.nowMs += 240_000;
    t.ok(await pull());
    t.ok((await Promise.all(Array.from({ length: 10 }, pull))).every(Boolean));
    say({ status: 429 });
    t.match(
      await failureOf(head()),
      { ...requests, retryAfterMs: 30_000 },
      'what went well is a new beginning',
    );
  },
);

t.test('a question that went ahead and got no answer keeps nobody waiting', async (t) => {
  const { seen, clock, say, pull } = await start(t);
  say({ status: 429 });
  await failureOf(pull());
  clock.nowMs += 30_000;
  say({ status: 503 });
  t.match(await failureOf(pull()), { reason: 'server-error' });
  t.match(await failureOf(pull()), { reason: 'server-error' }, 'trouble is told as what it is');
  t.equal(seen.length, 3);
});

t.test('a pull limit without a time lasts as long as its window, six hours at most', async (t) => {
  for (const [window, ms] of [
    ['100;w=3600', 3600_000],
    ['100;w=999999999', 6 * 3600_000],
    ['100', 30_000],
  ] as const) {
    const { say, pull, head } = await start(t);
    say({ status: 429, body: outOfPulls, headers: { 'ratelimit-limit': window } });
    t.match(await failureOf(pull()), { ...pulls, retryAfterMs: ms }, window);
    say({});
    t.ok(await head());
    t.match(await failureOf(pull()), { ...pulls, retryAfterMs: ms });
  }
});

t.test('a body without end is not waited for, and says nothing', async (t) => {
  const { say, pull } = await start(t);
  say({ status: 429, body: `${outOfPulls.slice(0, -1)},"x":"${'x'.repeat(100_000)}"}` });
  t.match(await failureOf(pull()), requests);
});

t.test('the reserve: what nobody waits for leaves the last pulls to clients', async (t) => {
  const { seen, clock, say, pull, head } = await start(t, { reserve: { share: 0.1 } });
  const left = (remaining: number) => ({
    headers: { 'ratelimit-limit': '100;w=3600', 'ratelimit-remaining': `${remaining};w=3600` },
  });
  say(left(11));
  t.ok(await pull({ isBackground: true }));
  say(left(10));
  t.ok(await pull({ isBackground: true }));
  const { length } = seen;
  for (let n = 0; n < 5; n++) {
    const failure = await failureOf(pull({ isBackground: true }));
    t.match(failure, { ...pulls, message: /kept for clients/, retryAfterMs: 3600_000 });
  }
  t.equal(seen.length, length, 'from memory');
  t.ok(await pull(), 'clients get it');
  t.ok(await head(), 'and HEAD costs nothing');
  say(left(50));
  await head();
  t.ok(await pull({ isBackground: true }), 'there is more again');
  say(left(3));
  await head();
  clock.nowMs += 3600_000;
  t.ok(await pull({ isBackground: true }), 'what was said is too old');
});

t.test('whether something is public is asked as nobody, under the same limits', async (t) => {
  const respond: Respond = ({ headers, path }, response) => {
    const isAllowed = headers.authorization !== undefined || path.includes('/public/');
    if (isAllowed) return response.writeHead(200, { 'content-type': OCI_MANIFEST }).end();
    response.writeHead(401, { 'www-authenticate': 'Basic realm="registry"' }).end();
  };
  const { url, seen } = await serve(t, respond);
  const { upstream } = connect(t, url, { credentials: [login('anna')] });
  t.ok(await upstream.headManifest(repository, reference));
  t.equal(await upstream.isPublic(repository, 'manifest', 'manifests/latest'), 'private');
  t.equal(await upstream.isPublic('public/app' as Repository, 'manifest', 'manifests/latest'), 'public');
  t.same(
    seen.slice(-2).map(({ headers }) => headers.authorization),
    [undefined, undefined],
    'it is asked each time, although the registry was heard to want a password',
  );
  t.ok(await upstream.headManifest(repository, reference), 'that nobody may is nothing about the account');
  t.equal(seen.filter(({ headers }) => headers.authorization).length, 2);

  const { upstream: limited, seen: asked, say, head } = await start(t, { credentials: [login('anna')] });
  say({ status: 429 });
  t.match(await failureOf(head()), requests);
  t.match(await failureOf(limited.isPublic(repository, 'manifest', 'manifests/latest')), requests);
  t.equal(asked.length, 1);
});

t.test('a registry that does not ask who asks is asked once by each account, not for ever', async (t) => {
  const { seen, say, pull } = await start(t, { credentials: [login('anna'), login('bert')] });
  say({ status: 429, body: outOfPulls, headers: { 'retry-after': '60' } });
  t.match(await failureOf(pull()), { ...pulls, retryAfterMs: 60_000 });
  t.equal(seen.length, 2);
  await failureOf(pull());
  t.equal(seen.length, 2);
});

t.test('access that is refused in one repository is no rest', async (t) => {
  const { upstream, seen, say, pull } = await start(t);
  say({ status: 403 });
  for (let n = 0; n < 3; n++) t.match(await failureOf(pull()), { reason: 'denied', status: 403 });
  t.equal(seen.length, 3, 'nobody else can be asked: upstream decides each time');
  say({});
  t.ok(await upstream.manifest('team/other' as Repository, reference));
});
