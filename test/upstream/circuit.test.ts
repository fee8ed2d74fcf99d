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
    failElsewhere: (reason: FailureReason) => circuit.failed(asked('long'), failure(reason), false),
    fail: (
      reason: FailureReason,
      patience: Patience = 'long',
      path = 'manifests/latest',
      name = 'team/app',
    ) => circuit.failed(asked(patience, path, name), failure(reason), true),
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

t.test('an endpoint that is silent is not asked for anything, and looked at right away', async (t) => {
  for (const reason of ['dns', 'refused', 'tls', 'reset', 'timeout'] as const) {
    const { circuit, fail, refuses } = rig();
    t.notOk(refuses('long'), 'asked while nothing is known');
    fail(reason);
    t.equal(circuit.state, 'down', reason);
    for (const patience of ['long', 'short'] as const)
      t.ok(refuses(patience, 'manifests/other', 'other/app'));
    t.equal(circuit.due(), 'base');
  }
});

t.test('where its base answers, it was the question', async (t) => {
  const { circuit, fail, refuses, pass } = rig();
  fail('reset', 'long', 'blobs/poison');
  circuit.found(10);
  t.equal(circuit.state, 'up');
  t.notOk(refuses('long', 'manifests/other'));
  t.ok(refuses('long', 'blobs/poison'), 'that is not asked again at once');
  t.ok(refuses('short', 'manifests/other'), 'who has something else leaves the repository alone');
  pass(1000);
  t.notOk(refuses('long', 'blobs/poison'));
  const dns = rig();
  dns.fail('dns');
  dns.circuit.found(10);
  t.notOk(dns.refuses('long'), 'a name that cannot be resolved is nobody’s question');
});

t.test('what is refused says why, until when, and that nobody was asked', async (t) => {
  const { circuit, fail, pass } = rig();
  fail('dns');
  circuit.notFound(failure('refused'));
  pass(100);
  const refusal = circuit.refusal(asked('long'));
  t.match(refusal, { reason: 'refused', host: 'registry.test', isFromMemory: true, isTransient: false });
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
    t.notOk(refuses('long', 'manifests/other'));
    circuit.answered(asked('long', 'manifests/other'), 6000);
    t.equal(circuit.state, 'slow', 'an answer that took longer than a known tag can wait');
    circuit.answered(asked('long', 'manifests/other'), 10);
    t.equal(circuit.state, 'up');
    t.notOk(refuses('short'));
  },
);

t.test('one that is slow for everybody is never down for who can wait', async (t) => {
  const { circuit, fail, refuses } = rig();
  for (const name of ['team/a', 'team/b', 'team/c', 'team/d']) {
    fail('timeout', 'short', 'manifests/1', name);
    if (name < 'team/c') circuit.found(10);
  }
  t.equal(circuit.state, 'slow');
  t.notOk(refuses('long', 'manifests/1', 'team/e'));
});

t.test('one that is found back, and takes its time, is slow', async (t) => {
  const { circuit, fail, refuses } = rig();
  fail('timeout');
  circuit.found(6000);
  t.equal(circuit.state, 'slow');
  t.notOk(refuses('long', 'manifests/other'));
  t.ok(refuses('short', 'manifests/other', 'other/app'));
  circuit.notFound(failure('timeout'));
  t.equal(circuit.state, 'down', 'and down when it is not found');
});

t.test('pauses double up to a minute', async (t) => {
  const { circuit, fail, pass } = rig();
  fail('refused');
  for (let tries = 1; tries <= 12; tries++) {
    circuit.notFound(failure('refused'));
    fail('refused');
    t.equal(circuit.due(), undefined, 'not at once, whatever fails meanwhile');
    const whole = Math.min(60_000, 1000 * 2 ** (tries - 1));
    pass(whole / 2 - 1);
    t.equal(circuit.due(), undefined, `not before half of ${whole} ms`);
    pass(whole / 2 + 1);
    t.equal(circuit.due(), 'base', 'after all of it');
  }
  circuit.found(1);
  t.equal(circuit.due(), undefined);
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

t.test('a token server that is away stands for what needs its tokens', async (t) => {
  const { circuit, failElsewhere, refuses } = rig();
  failElsewhere('refused');
  t.equal(circuit.state, 'up');
  t.ok(refuses('long'));
  t.notOk(refuses('long', 'manifests/latest', 'other/app'), 'which may have a token still');
});

t.test('in time, one asker finds out for the others, less and less often', async (t) => {
  const { fail, refuses, pass, circuit } = rig();
  fail('server-error');
  for (const whole of [1000, 2000, 4000]) {
    pass(whole / 2 - 1);
    t.ok(refuses('long'), `not before half of ${whole} ms`);
    pass(whole / 2 + 1);
    t.notOk(refuses('long'), 'the first');
    t.ok(refuses('long'), 'the others');
    fail('server-error');
  }
  circuit.answered(asked('long'), 1);
  t.notOk(refuses('long'));
  t.notOk(refuses('short'));
});

t.test('errors for three repositories in a row are the endpoint’s own', async (t) => {
  for (const reason of ['server-error', 'reset'] as const) {
    const { circuit, fail, refuses } = rig();
    const failFor = (name: string) => {
      fail(reason, 'long', 'manifests/1', name);
      if (reason === 'reset' && circuit.due() === 'base') circuit.found(1);
    };
    failFor('team/a');
    failFor('team/b');
    circuit.answered(asked('long', 'manifests/2', 'team/d'), 1);
    failFor('team/c');
    t.equal(circuit.state, 'up', 'an answer came between');
    failFor('team/a');
    failFor('team/b');
    t.equal(circuit.state, 'down', reason);
    t.ok(refuses('long', 'manifests/3', 'team/e'));
  }
});

t.test('what is tried then is what failed', async (t) => {
  const { circuit, fail, pass } = rig();
  for (const name of ['team/a', 'team/b', 'team/c']) fail('server-error', 'long', 'manifests/1', name);
  t.equal(circuit.due(), undefined);
  pass(1000);
  t.match(circuit.due(), { repository: 'team/c', path: 'manifests/1' });
});

t.test('where it answered about something before, that is tried first, and at once', async (t) => {
  const { circuit, fail } = rig();
  circuit.answered(asked('long', 'manifests/good', 'team/d'), 1);
  for (const name of ['team/a', 'team/b', 'team/c']) fail('server-error', 'long', 'manifests/1', name);
  t.equal(circuit.state, 'down');
  t.match(circuit.due(), { repository: 'team/d', path: 'manifests/good' });
  circuit.answered(asked('long', 'manifests/good', 'team/d'), 1);
  t.equal(circuit.state, 'up');
});

t.test('what somebody asks for is tried in place of what failed, and at once', async (t) => {
  const { circuit, fail } = rig();
  for (const name of ['team/a', 'team/b', 'team/c']) fail('server-error', 'long', 'manifests/1', name);
  circuit.suggest(asked('long', 'manifests/2', 'team/a'));
  t.equal(circuit.due(), undefined, 'of a repository that failed it says no more');
  circuit.suggest(asked('short', 'manifests/1', 'team/e'));
  t.match(circuit.due(), { repository: 'team/e' });
  circuit.notFound(failure('server-error'));
  circuit.suggest(asked('long', 'manifests/1', 'team/f'));
  t.equal(circuit.due(), undefined, 'once: then it pauses');
});

t.test('a clock that is set back ends all pauses', async (t) => {
  const { circuit, fail, refuses, pass } = rig();
  fail('server-error', 'long', 'blobs/a');
  fail('refused');
  circuit.notFound(failure('refused'));
  t.equal(circuit.due(), undefined);
  pass(-3_600_000);
  t.equal(circuit.due(), 'base');
  circuit.found(1);
  t.notOk(refuses('long', 'blobs/a'));
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
