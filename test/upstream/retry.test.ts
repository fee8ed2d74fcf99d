import fc from 'fast-check';
import t from 'tap';
import { type FailureReason, transportFailure, UpstreamError } from '../../src/upstream/errors.ts';
import { pause, pauseMs, withRetries } from '../../src/upstream/retry.ts';
import { failureOf } from './registry.ts';

const never = new AbortController().signal;
const failure = (reason: FailureReason) =>
  new UpstreamError('it failed', { reason, host: 'registry.example' });

t.test('pauses double up to a bound, and never come in step', async (t) => {
  t.equal(pauseMs(1, 0), 100);
  t.equal(pauseMs(1, 1), 200);
  t.equal(pauseMs(2, 1), 400);
  t.equal(pauseMs(1000, 1), 5000);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempt, random) => {
        const ms = pauseMs(attempt, random);
        return ms >= 100 && ms <= 5000;
      },
    ),
  );
});

t.test('a pause ends when it is told to, with the reason', async (t) => {
  const reason = new Error('stopping');
  await t.rejects(pause(20, AbortSignal.abort(reason)), { message: 'stopping' });
  const abort = new AbortController();
  const pausing = pause(20, abort.signal);
  abort.abort(reason);
  t.equal(await pausing.catch((error: unknown) => error), reason);
});

t.test('what may change is asked again, as often as is allowed', async (t) => {
  const asked: number[] = [];
  const flaky = async () => {
    asked.push(asked.length);
    if (asked.length < 3) throw failure('reset');
    return 'yes';
  };
  t.equal(await withRetries(2, never, flaky), 'yes');
  asked.length = 0;
  t.match(await failureOf(withRetries(1, never, flaky)), { reason: 'reset' });
  t.equal(asked.length, 2);
});

t.test('what will not change is asked once', async (t) => {
  for (const error of [
    failure('denied'),
    failure('throttled'),
    failure('untrusted-realm'),
    new Error('fault'),
  ]) {
    let asked = 0;
    const work = async () => {
      asked += 1;
      throw error;
    };
    t.equal(await withRetries(5, never, work).catch((caught: unknown) => caught), error);
    t.equal(asked, 1);
  }
});

t.test('the deadline ends the trying, and why it failed is told', async (t) => {
  const abort = new AbortController();
  const work = async () => {
    queueMicrotask(() => abort.abort(new Error('deadline')));
    throw failure('refused');
  };
  t.match(await failureOf(withRetries(5, abort.signal, work)), { reason: 'refused' });
});

t.test('failures are named', async (t) => {
  const coded = (code: string) => Object.assign(new Error(code), { code });
  const cases: [error: unknown, reason: FailureReason][] = [
    [coded('ENOTFOUND'), 'dns'],
    [coded('EAI_AGAIN'), 'dns'],
    [coded('ECONNREFUSED'), 'refused'],
    [coded('EHOSTUNREACH'), 'refused'],
    [coded('ECONNRESET'), 'reset'],
    [coded('UND_ERR_SOCKET'), 'reset'],
    [coded('UND_ERR_CONNECT_TIMEOUT'), 'timeout'],
    [coded('UND_ERR_HEADERS_TIMEOUT'), 'timeout'],
    [coded('UND_ERR_BODY_TIMEOUT'), 'timeout'],
    [coded('ETIMEDOUT'), 'timeout'],
    [new DOMException('late', 'TimeoutError'), 'timeout'],
    [coded('CERT_HAS_EXPIRED'), 'tls'],
    [coded('DEPTH_ZERO_SELF_SIGNED_CERT'), 'tls'],
    [coded('ERR_TLS_CERT_ALTNAME_INVALID'), 'tls'],
    [coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'tls'],
    [new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]), 'refused'],
    [new Error('fetch failed', { cause: coded('ENOTFOUND') }), 'dns'],
    [new Error('unknown'), 'reset'],
    ['text', 'reset'],
  ];
  for (const [error, reason] of cases) {
    const named = transportFailure('registry.example', error);
    t.equal(named.reason, reason, String(error));
    t.match(named.message, /^registry\.example: /);
  }
  const own = failure('denied');
  t.equal(transportFailure('other', own), own);
});
