import { Readable } from 'node:stream';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { contentSize, followRedirects, isRedirect } from '../../src/upstream/redirects.ts';
import type { Answer, Question, Transport } from '../../src/upstream/transport.ts';
import { collect, connect, failureOf, repository, sendRange, serve } from './registry.ts';

const content = Buffer.from('content '.repeat(10_000));
const digest = digestOf(content);
const never = new AbortController().signal;

function answer(status: number, headers: Record<string, string> = {}): Answer {
  const body = Object.assign(Readable.from([]), { dump: async () => undefined });
  return { status, header: (name) => headers[name], body: body as unknown as Answer['body'] };
}

/** A transport that goes through answers; `asked` holds where to. */
function scripted(...answers: Answer[]) {
  const asked: Question[] = [];
  const send = async (question: Question) => {
    asked.push(question);
    return answers.shift() ?? answer(200);
  };
  return { asked, transport: { send } as unknown as Transport };
}

function follow(from: string, location: string | undefined, ...more: Answer[]) {
  const { asked, transport } = scripted(...more);
  const first = answer(307, location === undefined ? {} : { location });
  const question = {
    method: 'GET' as const,
    headers: { range: 'bytes=1-' },
    signal: never,
    lane: 'blob' as const,
  };
  return { asked, following: followRedirects(transport, new URL(from), first, question) };
}

t.test('redirects', async (t) => {
  for (const status of [301, 302, 303, 307, 308]) t.ok(isRedirect(status));
  for (const status of [200, 206, 300, 304, 305, 306, 400, 404]) t.notOk(isRedirect(status));
});

t.test('the size of the whole content', async (t) => {
  const cases: [status: number, headers: Record<string, string>, size: number | undefined][] = [
    [200, { 'content-length': '100' }, 100],
    [200, { 'content-length': '0' }, 0],
    [200, {}, undefined],
    [200, { 'content-length': '-1' }, undefined],
    [200, { 'content-length': '1e3' }, undefined],
    [200, { 'content-length': '1, 1' }, undefined],
    [200, { 'content-length': '9'.repeat(16) }, undefined],
    [206, { 'content-length': '10', 'content-range': 'bytes 5-14/100' }, 100],
    [206, { 'content-length': '10', 'content-range': 'bytes 5-14/*' }, undefined],
    [206, { 'content-length': '10' }, undefined],
    [416, { 'content-length': '7', 'content-range': 'bytes */100' }, 100],
    [416, { 'content-length': '7' }, undefined],
  ];
  for (const [status, headers, size] of cases) {
    t.equal(contentSize(answer(status, headers)), size, `${status} ${JSON.stringify(headers)}`);
  }
});

t.test('where a redirect may lead', async (t) => {
  const cases: [from: string, location: string, to: string][] = [
    ['https://r.example/v2/', 'https://cdn.example/x?signature=s', 'https://cdn.example/x?signature=s'],
    ['https://r.example/v2/', '/other', 'https://r.example/other'],
    ['https://r.example/v2/', '//cdn.example/x', 'https://cdn.example/x'],
    ['http://r.example/v2/', 'http://cdn.example/x', 'http://cdn.example/x'],
    ['http://r.example/v2/', 'https://cdn.example/x', 'https://cdn.example/x'],
  ];
  for (const [from, location, to] of cases) {
    const { asked, following } = follow(from, location);
    t.equal((await following).status, 200);
    t.same([asked[0]?.url.href, asked[0]?.method, asked[0]?.headers], [to, 'GET', { range: 'bytes=1-' }]);
  }
});

t.test('where it may not', async (t) => {
  const locations = [
    ...['http://cdn.example/x', 'https://user:password@cdn.example/x', 'https://user@cdn.example/x'],
    ...[
      'file:///etc/passwd',
      'ftp://cdn.example/x',
      'data:text/plain,x',
      'https://',
      'http://[::1',
      undefined,
    ],
  ];
  for (const location of locations) {
    const { asked, following } = follow('https://r.example/v2/', location);
    const failure = await failureOf(following);
    t.match(failure, { reason: 'redirect', host: 'r.example' }, String(location));
    t.notMatch(String(failure), /password|etc|user/, 'nor is it told');
    t.same(asked, []);
  }
  const { following } = follow(
    'http://r.example/',
    'https://a.example/',
    answer(302, { location: 'http://b.example/' }),
  );
  t.match(await failureOf(following), { reason: 'redirect', host: 'a.example' }, 'no way back from HTTPS');
});

t.test('how far', async (t) => {
  const more = (count: number) => Array.from({ length: count }, () => answer(302, { location: '/again' }));
  t.equal((await follow('https://r.example/', '/a', ...more(4)).following).status, 200);
  const { asked, following } = follow('https://r.example/', '/a', ...more(50));
  t.match(await failureOf(following), { reason: 'redirect' });
  t.equal(asked.length, 5);
});

t.test('what the end of it may be', async (t) => {
  for (const status of [200, 206, 416]) {
    t.equal((await follow('https://r.example/', '/a', answer(status)).following).status, status);
  }
  for (const [status, reason] of [
    [403, 'redirect'],
    [404, 'redirect'],
    [429, 'throttled'],
    [500, 'server-error'],
    [204, 'bad-answer'],
  ] as const) {
    const { following } = follow(
      'https://r.example/',
      'https://cdn.example/x?signature=secret',
      answer(status),
    );
    const failure = await failureOf(following);
    t.match(failure, { reason, host: 'cdn.example', status });
    t.notMatch(String(failure), /signature|secret/);
  }
});

t.test(
  'the registry is asked afresh when a signed address has expired; the CDN sees no credential',
  async (t) => {
    const cdn = await serve(t, (seen, response, count) =>
      count === 1
        ? response.writeHead(403).end()
        : sendRange(seen, response, content, { until: count === 0 ? 1000 : 1e9 }),
    );
    const registry = await serve(t, ({ headers }, response, count) => {
      if (!headers.authorization)
        return response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      response.writeHead(307, { location: `${cdn.url.origin}/signed?signature=${count}` }).end();
    });
    const { upstream } = connect(t, registry.url, {
      credentials: [{ kind: 'password', username: 'someone', password: 'hunter2' }],
    });
    const found = await upstream.download(repository, digest, { from: 0, signal: never, lane: 'blob' });
    t.ok(found && (await collect(found.chunks)).equals(content));
    t.equal(registry.seen.length, 4, 'a challenge, and one question for each try');
    t.equal(new Set(cdn.seen.map(({ path }) => path)).size, 3, 'no signed address is used twice');
    t.same(
      cdn.seen.map(({ headers }) => [headers.authorization, headers.cookie, headers.range]),
      [
        [undefined, undefined, undefined],
        [undefined, undefined, 'bytes=1000-'],
        [undefined, undefined, 'bytes=1000-'],
      ],
    );
  },
);
