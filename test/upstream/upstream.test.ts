import { inspect } from 'node:util';
import t, { type Test } from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { MANIFEST_ACCEPT, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { parseReference, type Repository } from '../../src/oci/reference.ts';
import { collect, connect, failureOf, type Respond, repository, sendRange, serve } from './registry.ts';

const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] }));
const digest = digestOf(body);
const reference = parseReference('latest') ?? { kind: 'digest', digest };
const never = new AbortController().signal;
const password = [{ kind: 'password' as const, username: 'someone', password: 'hunter2' }];

const sendManifest: Respond = ({ method }, response) => {
  const headers = { 'content-type': `${OCI_MANIFEST}; charset=utf-8`, 'docker-content-digest': digest };
  response
    .writeHead(200, { ...headers, 'content-length': body.length })
    .end(method === 'HEAD' ? undefined : body);
};

/** A registry that wants a bearer token from a server on another port, as it is told to. */
async function tokened(t: Test, respond: Respond, isAccepted = (token: string) => token !== 't0') {
  const auth = await serve(t, (_, response, count) =>
    response.end(JSON.stringify({ token: `t${count + 1}` })),
  );
  const registry = await serve(t, (seen, response, count) => {
    const token = seen.headers.authorization?.replace('Bearer ', '') ?? 't0';
    if (isAccepted(token)) return respond(seen, response, count);
    const challenge = `Bearer realm="${auth.url}token",service="registry",scope="${scopeOf(seen.path)}"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  return { auth, registry };
}

function scopeOf(path: string): string {
  return `repository:${path.match(/^\/v2\/(.+)\/(?:manifests|blobs)\//)?.[1]}:pull`;
}

t.test('a manifest, and what upstream says of it', async (t) => {
  const { url, seen } = await serve(t, sendManifest);
  const { upstream, told } = connect(t, new URL('/prefix/', url));
  const head = { digest, mediaType: OCI_MANIFEST, size: body.length };
  t.strictSame(await upstream.manifest(repository, reference), { ...head, body });
  t.strictSame(await upstream.headManifest(repository, reference), head);
  t.equal(seen[0]?.path, '/prefix/v2/library/alpine/manifests/latest');
  t.equal(seen[0]?.headers.accept, MANIFEST_ACCEPT);
  t.same(told.answers, ['manifest 200', 'manifest 200']);
  t.equal(told.received, body.length);
});

t.test('a digest that is none is not believed', async (t) => {
  const { url } = await serve(t, (_, response) =>
    response.writeHead(200, { 'docker-content-digest': '../../etc' }).end(body),
  );
  const { upstream } = connect(t, url);
  t.equal((await upstream.manifest(repository, reference))?.digest, undefined);
});

t.test('absence is 404 alone', async (t) => {
  const { url } = await serve(t, (_, response) => response.writeHead(404).end());
  const { upstream } = connect(t, url);
  t.equal(await upstream.manifest(repository, reference), undefined);
  t.equal(await upstream.headManifest(repository, reference), undefined);
  t.equal(await upstream.headBlob(repository, digest), undefined);
  t.equal(await upstream.page('tags', repository, 'tags/list'), undefined);
  for (const [status, reason] of [
    [400, 'bad-answer'],
    [403, 'denied'],
    [204, 'bad-answer'],
    [500, 'server-error'],
  ] as const) {
    const other = await serve(t, (_, response) => response.writeHead(status).end());
    const { upstream } = connect(t, other.url, { retries: 0 });
    t.match(await failureOf(upstream.manifest(repository, reference)), { reason, status });
  }
});

t.test('bodies that cannot be a manifest', async (t) => {
  const gzip = await serve(t, (_, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(body),
  );
  const large = await serve(t, (_, response) => response.end(Buffer.alloc(4 * 1024 * 1024 + 1)));
  for (const { url } of [gzip, large]) {
    const { upstream } = connect(t, url, { retries: 0 });
    t.match(await failureOf(upstream.manifest(repository, reference)), { reason: 'bad-answer' });
  }
});

t.test('challenge, token, request; and the token is kept', async (t) => {
  const { auth, registry } = await tokened(t, sendManifest);
  const { upstream, told } = connect(t, registry.url, { realms: [auth.url.host] });
  await Promise.all(Array.from({ length: 10 }, () => upstream.manifest(repository, reference)));
  await upstream.headManifest(repository, reference);
  t.equal(auth.seen.length, 1, 'one token for one repository');
  t.equal(registry.seen.filter(({ headers }) => !headers.authorization).length, 10);
  await upstream.manifest('library/debian' as Repository, reference);
  t.match(auth.seen[1]?.path, /debian/, 'another repository brings its own along, without a challenge');
  t.equal(registry.seen.at(-2)?.headers.authorization, 'Bearer t1');
  t.same(told.tokens, ['fetched', 'fetched']);
});

t.test('a token that is refused is replaced once', async (t) => {
  const { auth, registry } = await tokened(t, sendManifest, (token) => token === 't2');
  const { upstream } = connect(t, registry.url, { realms: [auth.url.host] });
  t.match(await failureOf(upstream.manifest(repository, reference)), { reason: 'denied', status: 401 });
  t.equal((await upstream.manifest(repository, reference))?.digest, digest, 'the next brings a fresh one');
  t.equal(auth.seen.length, 2);
});

t.test('a realm of somebody else gets nothing', async (t) => {
  const { auth, registry } = await tokened(t, sendManifest);
  const { upstream } = connect(t, registry.url, { credentials: password });
  const failure = await failureOf(upstream.manifest(repository, reference));
  t.match(failure, { reason: 'untrusted-realm', message: /add it to the upstream's `realms`/ });
  t.notMatch(inspect(failure, { depth: 9 }), /hunter2/);
  t.same(auth.seen, []);
});

t.test('basic authentication, and none configured', async (t) => {
  const respond: Respond = (seen, response, count) => {
    if (seen.headers.authorization) return sendManifest(seen, response, count);
    response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
  };
  const { url, seen } = await serve(t, respond);
  const { upstream } = connect(t, url, { credentials: password });
  t.ok(await upstream.manifest(repository, reference));
  await upstream.manifest(repository, reference);
  t.equal(seen.length, 3, 'it is sent along the second time');
  const anonymous = connect(t, url).upstream;
  t.match(await failureOf(anonymous.manifest(repository, reference)), {
    reason: 'denied',
    message: /none is configured/,
  });
});

t.test('no credential is sent unasked', async (t) => {
  const { url, seen } = await serve(t, sendManifest);
  await connect(t, url, { credentials: password }).upstream.manifest(repository, reference);
  t.equal(seen[0]?.headers.authorization, undefined);
});

t.test('a pull limit rests manifests, and HEAD and blobs go on', async (t) => {
  const clock = { nowMs: 1e12 };
  const { url, seen } = await serve(t, (seen, response, count) => {
    if (seen.path.includes('/blobs/')) return sendRange(seen, response, body);
    if (seen.method === 'HEAD' || count > 3) return sendManifest(seen, response, count);
    const limited = { errors: [{ code: 'TOOMANYREQUESTS', message: 'pull rate limit' }] };
    response.writeHead(429, { 'retry-after': '30' }).end(JSON.stringify(limited));
  });
  const { upstream } = connect(t, url, { now: () => clock.nowMs });
  const throttled = { reason: 'throttled', limit: 'pulls', status: 429, retryAfterMs: 30_000 };
  t.match(await failureOf(upstream.manifest(repository, reference)), throttled);
  t.match(await failureOf(upstream.manifest(repository, reference)), throttled);
  t.equal(seen.length, 1, 'it is not asked before its time');
  t.ok(await upstream.headManifest(repository, reference));
  const found = await upstream.download(repository, digest, { from: 0, signal: never, lane: 'blob' });
  t.ok(found && (await collect(found.chunks)).equals(body));
  clock.nowMs += 29_000;
  t.match(await failureOf(upstream.manifest(repository, reference)), { retryAfterMs: 1000 });
  clock.nowMs += 1000;
  await failureOf(upstream.manifest(repository, reference));
  clock.nowMs += 30_000;
  t.ok(await upstream.manifest(repository, reference));
});

t.test('any other 429 rests everything', async (t) => {
  const { url, seen } = await serve(t, (_, response) => response.writeHead(429).end());
  const { upstream } = connect(t, url);
  t.match(await failureOf(upstream.headManifest(repository, reference)), { reason: 'throttled' });
  t.match(await failureOf(upstream.headBlob(repository, digest)), { reason: 'throttled' });
  t.match(await failureOf(upstream.manifest(repository, reference)), { reason: 'throttled' });
  t.equal(seen.length, 1);
});

t.test('whether a repository holds a blob', async (t) => {
  const cdn = await serve(t, (seen, response) => sendRange(seen, response, body));
  const cases: [what: string, respond: Respond, size: number | undefined][] = [
    ['it says so', (seen, response) => sendRange(seen, response, body), body.length],
    [
      'it redirects',
      (_, response) => response.writeHead(307, { location: `${cdn.url}x` }).end(),
      body.length,
    ],
    [
      'it hides the size',
      (_, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(),
      undefined,
    ],
  ];
  for (const [what, respond, size] of cases) {
    const { url } = await serve(t, respond);
    const { upstream, told } = connect(t, url);
    t.same(await upstream.headBlob(repository, digest as Digest), { size }, what);
    t.equal(told.received, 0, 'nothing is downloaded');
  }
  t.equal(cdn.seen[0]?.method, 'GET');
  t.equal(cdn.seen[0]?.headers.range, 'bytes=0-0');
});

t.test('what is transient is asked again', async (t) => {
  const { url, seen } = await serve(t, (seen, response, count) => {
    if (count === 0) return response.socket?.destroy();
    return count === 1 ? response.writeHead(503).end() : sendManifest(seen, response, count);
  });
  t.ok(await connect(t, url).upstream.manifest(repository, reference));
  t.equal(seen.length, 3);
});

t.test('a caller’s deadline ends the asking', async (t) => {
  const { url } = await serve(t, () => undefined);
  const { upstream, told } = connect(t, url);
  t.match(await failureOf(upstream.headManifest(repository, reference, 30)), { reason: 'timeout' });
  t.same(told.answers, ['manifest none']);
});
