import t from 'tap';
import { cacheStatus, type Outcome, refusalStatus } from '../../src/outcome.ts';

const outcomes: Record<Outcome, string> = {
  hit: 'hubcap; hit',
  coalesced: 'hubcap; fwd=miss; collapsed',
  miss: 'hubcap; fwd=miss; stored',
  revalidated: 'hubcap; hit; detail=revalidated',
  stale: 'hubcap; fwd=stale',
  bypass: 'hubcap; fwd=bypass',
  absent: 'hubcap; fwd=miss; fwd-status=404',
  denied: 'hubcap; fwd=miss; fwd-status=403',
  error: 'hubcap; fwd=miss; detail=error',
};

/** RFC 9211 §2: a structured list of tokens with parameters (RFC 8941). */
const GRAMMAR = /^[a-z]+(?:; (?:hit|collapsed|stored|fwd=[a-z-]+|fwd-status=\d{3}|detail=[a-z-]+))+$/;

t.test('every outcome has its words', async (t) => {
  for (const [outcome, expected] of Object.entries(outcomes) as [Outcome, string][]) {
    t.equal(cacheStatus(outcome), expected);
    t.match(cacheStatus(outcome), GRAMMAR);
    const shown = outcome === 'stale' ? `${expected}; fwd-status=429` : expected;
    t.equal(cacheStatus(outcome, 429), shown, 'what upstream said matters to stale ones alone');
    t.match(cacheStatus(outcome, 429), GRAMMAR);
  }
});

t.test('and so has every refusal', async (t) => {
  const refusals: [outcome: Outcome, detail: string, expected: string][] = [
    ['absent', 'offline', 'hubcap; detail=offline'],
    ['absent', 'absent', outcomes.absent],
    ['denied', 'denied', outcomes.denied],
    ['error', 'throttled', 'hubcap; fwd=miss; detail=throttled'],
    ['error', 'server-error', 'hubcap; fwd=miss; detail=server-error'],
  ];
  for (const [outcome, detail, expected] of refusals) {
    t.equal(refusalStatus(outcome, detail), expected);
    t.match(expected, GRAMMAR);
  }
});
