import fc from 'fast-check';
import t from 'tap';
import { parseRateLimit, parseRetryAfter } from '../../src/upstream/rate-limit.ts';

function limitOf(limit: string | undefined, remaining?: string) {
  const headers: Record<string, string | undefined> = {
    'ratelimit-limit': limit,
    'ratelimit-remaining': remaining,
  };
  return parseRateLimit((name) => headers[name]);
}

t.test('what upstream says about its limits', async (t) => {
  t.same(limitOf('100;w=21600', '20;w=21600'), { limit: 100, remaining: 20, windowS: 21600 });
  t.same(limitOf('100;w=21600', '0;w=3600'), { limit: 100, remaining: 0, windowS: 3600 });
  t.same(limitOf('100'), { limit: 100, remaining: undefined, windowS: undefined });
  t.same(limitOf(undefined, '7;w=60'), { limit: undefined, remaining: 7, windowS: 60 });
  t.same(limitOf(' 200 ; w=60'), { limit: 200, remaining: undefined, windowS: 60 });
  t.same(limitOf('100, 100;w=21600'), { limit: 100, remaining: undefined, windowS: undefined });
  for (const text of [undefined, '', 'unlimited', '-1', ';w=60', 'w=60', 'NaN'])
    t.equal(limitOf(text), undefined);
});

t.test('when to ask again', async (t) => {
  const now = Date.UTC(2026, 0, 1);
  const cases: [value: string | undefined, ms: number][] = [
    [undefined, 60_000],
    ['', 60_000],
    ['soon', 60_000],
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
  fc.assert(
    fc.property(value, (text) => {
      const ms = parseRetryAfter(text, 1e12);
      return ms >= 1000 && ms <= 6 * 3600_000;
    }),
  );
});
