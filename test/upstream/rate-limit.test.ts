import fc from 'fast-check';
import t from 'tap';
import {
  limitOf,
  parseRateLimit,
  parseRetryAfter,
  pullsRestMs,
  type RateLimit,
} from '../../src/upstream/rate-limit.ts';

function rateLimitOf(limit: string | undefined, remaining?: string, source?: string) {
  const headers: Record<string, string | undefined> = {
    'ratelimit-limit': limit,
    'ratelimit-remaining': remaining,
    'docker-ratelimit-source': source,
  };
  return parseRateLimit((name) => headers[name]);
}

function limit(count: number | undefined, remaining: number | undefined, windowS: number | undefined) {
  return { limit: count, remaining, windowS, source: undefined };
}

t.test('what upstream says about its limits', async (t) => {
  t.same(rateLimitOf('100;w=21600', '20;w=21600'), limit(100, 20, 21600));
  t.same(rateLimitOf('100;w=21600', '0;w=3600'), limit(100, 0, 3600));
  t.same(rateLimitOf('100'), limit(100, undefined, undefined));
  t.same(rateLimitOf(undefined, '7;w=60'), limit(undefined, 7, 60));
  t.same(rateLimitOf(' 200 ; w=60'), limit(200, undefined, 60));
  t.same(rateLimitOf('100, 100;w=21600'), limit(100, undefined, undefined));
  for (const text of [undefined, '', 'unlimited', '-1', ';w=60', 'w=60', 'NaN'])
    t.equal(rateLimitOf(text, undefined, '192.0.2.1'), undefined);
  t.equal(rateLimitOf('1', '1', ' 192.0.2.1 ')?.source, '192.0.2.1');
  t.equal(rateLimitOf('1', '1', 'x'.repeat(1000))?.source?.length, 64);
});

t.test('when to ask again', async (t) => {
  const now = Date.UTC(2026, 0, 1);
  const cases: [value: string | undefined, ms: number | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['soon', undefined],
    ['30', 30_000],
    [' 30 ', 30_000],
    ['0', 1000],
    ['Thu, 01 Jan 2026 00:02:00 GMT', 120_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 1000],
    ['Thu, 01 Jan 2032 00:00:00 GMT', 6 * 3600_000],
    ['999999999', 6 * 3600_000],
  ];
  for (const [value, ms] of cases) t.equal(parseRetryAfter(value, now), ms, String(value));
});

t.test('whatever upstream says, the wait is bounded', async () => {
  const value = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.bigInt().map(String),
    fc.date().map(String),
  );
  const isBounded = (ms = 1000): boolean => ms >= 1000 && ms <= 6 * 3600_000;
  fc.assert(
    fc.property(value, fc.option(fc.nat(), { nil: undefined }), (text, windowS) => {
      const namedMs = parseRetryAfter(text, 1e12);
      return isBounded(namedMs) && isBounded(pullsRestMs(namedMs, windowS));
    }),
  );
});

const oci = (message: string, code = 'TOOMANYREQUESTS'): string =>
  JSON.stringify({ errors: [{ code, message }] });

t.test('which limit a 429 is about', async (t) => {
  const none: RateLimit = limit(100, 0, 21600);
  const some: RateLimit = limit(100, 50, 21600);
  const cases: [
    what: string,
    isPull: boolean,
    rateLimit: RateLimit | undefined,
    body: string | undefined,
    is: string,
  ][] = [
    [
      'the code of the specification',
      true,
      undefined,
      oci('You have reached your pull rate limit.'),
      'pulls',
    ],
    ['nothing left', true, none, undefined, 'pulls'],
    ['nothing left, and a page', true, none, '<html>Too Many Requests</html>', 'pulls'],
    ['the limit of the address, with the code', true, some, oci('Too Many Requests (HAP429)'), 'requests'],
    ['the limit of the address, with nothing left', true, none, 'Too Many Requests (HAP429)', 'requests'],
    ['nothing that tells', true, undefined, undefined, 'requests'],
    ['another code', true, some, oci('no', 'DENIED'), 'requests'],
    ['what is no pull', false, none, oci('You have reached your pull rate limit.'), 'requests'],
  ];
  for (const [what, isPull, rateLimit, body, is] of cases)
    t.equal(limitOf({ isPull, rateLimit, body }), is, what);
  const strange = [
    'null',
    '[]',
    '7',
    '{"errors":null}',
    '{"errors":[null,7]}',
    '{"errors":{"code":"TOOMANYREQUESTS"}}',
  ];
  for (const body of strange)
    t.equal(limitOf({ isPull: true, rateLimit: undefined, body }), 'requests', body);
});

t.test('how long pulls rest', async (t) => {
  t.equal(pullsRestMs(30_000, 21600), 30_000, 'as long as upstream says');
  t.equal(pullsRestMs(undefined, 60), 60_000, 'else its window');
  t.equal(pullsRestMs(undefined, 1e9), 6 * 3600_000, 'which it cannot make longer than this');
  t.equal(pullsRestMs(undefined, 0), 1000);
  t.equal(pullsRestMs(undefined, undefined), undefined);
});
