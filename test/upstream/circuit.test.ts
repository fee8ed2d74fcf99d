import t from 'tap';
import { parseRepository, type Repository } from '../../src/oci/reference.ts';
import { type Asked, Circuit, type Patience } from '../../src/upstream/circuit.ts';
import { type FailureReason, UpstreamError } from '../../src/upstream/errors.ts';

function rig({ probeMs = 1000, confirmMs = 5000 } = {}) {
  let nowMs = 1_000_000;
  const circuit = new Circuit({ probeMs, confirmMs, now: () => nowMs });
  return {
    circuit,
    pass: (ms: number) => {
      nowMs += ms;
    },
    fail: (
      reason: FailureReason,
      patience: Patience = 'long',
      path = 'manifests/latest',
      name = 'team/app',
    ) => circuit.failed(asked(patience, path, name), failure(reason)),
    refuses: (patience: Patience, path = 'manifests/latest', name = 'team/app') =>
      circuit.refusal(asked(patience, path, name)) !== undefined,
  };
}

function asked(patience: Patience, path = 'manifests/latest', name = 'team/app'): Asked {
  return { kind: 'manifest', repository: repository(name), path, patience };
}

function repository(name: string): Repository {
  const parsed = parseRepository(name);
  if (!parsed) throw new Error(`${name} is no repository`);
  return parsed;
}

const failure = (reason: FailureReason) =>
  new UpstreamError('registry.test failed', { reason, host: 'registry.test', status: 503 });

t.test('an endpoint that is silent is not asked for anything', async (t) => {
  for (const reason of ['dns', 'refused', 'tls', 'reset', 'timeout'] as const) {
    const { circuit, fail, refuses } = rig();
    t.notOk(refuses('long'), 'asked while nothing is known');
    fail(reason);
    t.equal(circuit.state, 'down', reason);
    for (const patience of ['long', 'short'] as const)
      t.ok(refuses(patience, 'manifests/other', 'other/app'));
  }
});

t.test('what is refused says why, until when, and that nobody was asked', async (t) => {
  const { circuit, fail, pass } = rig();
  fail('dns');
  pass(100);
  const refusal = circuit.refusal(asked('long'));
  t.match(refusal, { reason: 'dns', host: 'registry.test', isFromMemory: true, isTransient: false });
  const { retryAfterMs = 0 } = refusal ?? {};
  t.ok(retryAfterMs > 0 && retryAfterMs <= 900, 'the time that is left');
});

t.test(
  'one that does not confirm in time is slow: what is not known is asked for all the same',
  async (t) => {
    const { circuit, fail, refuses } = rig();
    fail('timeout', 'short');
    t.equal(circuit.state, 'slow');
    t.ok(refuses('short', 'manifests/other', 'other/app'));
    t.notOk(refuses('long'));
    circuit.answered(asked('long'), 6000);
    t.equal(circuit.state, 'slow', 'an answer that took longer than a known tag can wait');
    circuit.answered(asked('long'), 10);
    t.equal(circuit.state, 'up');
    t.notOk(refuses('short'));
  },
);

t.test('one that is found back, and takes its time, is slow', async (t) => {
  const { circuit, fail, refuses } = rig();
  fail('timeout');
  circuit.answered(asked('long'), 6000);
  t.equal(circuit.state, 'slow');
  t.notOk(refuses('long'));
  t.ok(refuses('short'));
});

t.test('pauses double up to a minute, whatever fails at the same time', async (t) => {
  const { circuit, fail, pass } = rig();
  for (let failures = 1; failures <= 12; failures++) {
    fail('refused');
    fail('refused');
    t.equal(circuit.due(), undefined, 'not at once');
    const whole = Math.min(60_000, 1000 * 2 ** (failures - 1));
    pass(whole / 2 - 1);
    t.equal(circuit.due(), undefined, `not before half of ${whole} ms`);
    pass(whole / 2 + 1);
    t.match(circuit.due(), { path: 'manifests/latest' }, 'after all of it');
  }
  circuit.answered(asked('long'), 1);
  t.equal(circuit.due(), undefined);
  fail('refused');
  pass(1000);
  t.ok(circuit.due(), 'an answer begins it anew');
});

t.test('an answer that is an error is remembered for that question alone', async (t) => {
  for (const reason of ['server-error', 'html', 'token'] as const) {
    const { circuit, fail, refuses } = rig();
    fail(reason, 'long', 'blobs/a');
    t.equal(circuit.state, 'up', reason);
    t.ok(refuses('long', 'blobs/a'), 'the same question');
    t.notOk(refuses('long', 'manifests/latest'), 'another one');
    t.ok(refuses('short', 'manifests/latest'), 'who has something else to serve leaves the repository alone');
    t.notOk(refuses('short', 'manifests/latest', 'other/app'));
  }
});

t.test('in time, one asker finds out for the others', async (t) => {
  const { fail, refuses, pass, circuit } = rig();
  fail('server-error');
  pass(1000);
  t.notOk(refuses('long'), 'the first');
  t.ok(refuses('long'), 'the others');
  circuit.answered(asked('long'), 1);
  t.notOk(refuses('long'));
  t.notOk(refuses('short'));
});

t.test('errors for three repositories in a row are the endpoint’s own', async (t) => {
  const { circuit, fail, refuses } = rig();
  fail('server-error', 'long', 'manifests/1', 'team/a');
  fail('server-error', 'long', 'manifests/1', 'team/b');
  circuit.answered(asked('long', 'manifests/2', 'team/d'), 1);
  fail('server-error', 'long', 'manifests/1', 'team/c');
  t.equal(circuit.state, 'up', 'an answer came between');
  fail('server-error', 'long', 'manifests/1', 'team/a');
  fail('server-error', 'long', 'manifests/1', 'team/b');
  t.equal(circuit.state, 'down');
  t.ok(refuses('long', 'manifests/3', 'team/e'));
});

t.test('what only an endpoint that answers can say opens nothing', async (t) => {
  for (const reason of [
    'throttled',
    'denied',
    'untrusted-realm',
    'bad-answer',
    'redirect',
    'stopped',
  ] as const) {
    const { circuit, fail, refuses } = rig();
    for (const name of ['team/a', 'team/b', 'team/c', 'team/d']) fail(reason, 'long', 'manifests/1', name);
    t.equal(circuit.state, 'up', reason);
    t.notOk(refuses('long', 'manifests/1', 'team/a'));
  }
});

t.test('with a pause of nothing, nothing is remembered', async (t) => {
  const { circuit, fail, refuses } = rig({ probeMs: 0 });
  fail('refused');
  fail('timeout', 'short');
  fail('server-error');
  t.equal(circuit.state, 'up');
  t.notOk(refuses('short'));
});
