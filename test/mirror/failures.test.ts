import t from 'tap';
import { cannotSay, toRegistryError, upstreamStatusOf } from '../../src/mirror/failures.ts';
import { type ErrorCode, manifestUnknown, RegistryError, unavailable } from '../../src/oci/registry-error.ts';
import { StoreClosingError } from '../../src/store/errors.ts';
import { type FailureReason, UpstreamError, type UpstreamErrorFacts } from '../../src/upstream/errors.ts';

const fail = (reason: FailureReason, facts: Partial<UpstreamErrorFacts> = {}): UpstreamError =>
  new UpstreamError('host.test: it failed', { reason, host: 'host.test', ...facts });

const reasons: Record<FailureReason, [status: number, code: ErrorCode, canServeStale: boolean]> = {
  dns: [503, 'UNAVAILABLE', true],
  refused: [503, 'UNAVAILABLE', true],
  reset: [503, 'UNAVAILABLE', true],
  stopped: [503, 'UNAVAILABLE', true],
  timeout: [504, 'UNAVAILABLE', true],
  tls: [502, 'UNAVAILABLE', true],
  'server-error': [502, 'UNAVAILABLE', true],
  'untrusted-realm': [502, 'UNAVAILABLE', true],
  token: [502, 'UNAVAILABLE', true],
  'bad-answer': [502, 'UNAVAILABLE', true],
  html: [502, 'UNAVAILABLE', true],
  redirect: [502, 'UNAVAILABLE', true],
  throttled: [429, 'TOOMANYREQUESTS', true],
  denied: [403, 'DENIED', false],
  offline: [404, 'MANIFEST_UNKNOWN', true],
};

t.test('every failure of an upstream has its answer; none is absence', async (t) => {
  for (const [reason, [status, code, canServeStale]] of Object.entries(reasons)) {
    const cause = fail(reason as FailureReason);
    const shown = toRegistryError('host.test/app:latest', cause);
    if (!(shown instanceof RegistryError)) throw new Error(`${reason} has no answer`);
    t.match(shown, { status, code, cause }, reason);
    t.equal(status < 429 || (shown.retryAfterS ?? 0) > 0, true, `${reason}: says when to ask again`);
    t.equal(cannotSay(cause), canServeStale, `${reason}: whether what is known may be served`);
    t.equal(cannotSay(shown), canServeStale, `${reason}: the same for what it became`);
  }
});

t.test('what no patience mends says what does', async (t) => {
  t.match(toRegistryError('a', fail('tls')), { message: /`tls\.ca` in hubcap's configuration$/ });
  t.match(toRegistryError('a', fail('reset')), { message: /; ask again$/ });
});

t.test('how long a client should wait is upstream’s word, rounded up', async (t) => {
  t.match(toRegistryError('a', fail('throttled', { retryAfterMs: 1001 })), { retryAfterS: 2 });
  t.match(toRegistryError('a', fail('throttled')), { retryAfterS: 60 });
});

t.test('what is no failure of an upstream stays what it is', async (t) => {
  const absent = manifestUnknown('a');
  const fault = new TypeError('ours');
  t.equal(toRegistryError('a', absent), absent);
  t.equal(toRegistryError('a', fault), fault);
  t.match(toRegistryError('a', new StoreClosingError()), { status: 503, code: 'UNAVAILABLE' });
  t.notOk(cannotSay(absent), 'absence is an answer');
  t.notOk(cannotSay(fault), 'our faults are not hidden behind stale content');
});

t.test('the status that upstream gave is found again', async (t) => {
  const cause = fail('server-error', { status: 503 });
  t.equal(upstreamStatusOf(cause), 503);
  t.equal(upstreamStatusOf(unavailable('a', 502, 5, cause)), 503);
  t.equal(upstreamStatusOf(fail('timeout')), undefined);
  t.equal(upstreamStatusOf(new Error('other')), undefined);
});
