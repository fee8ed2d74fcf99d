import t from 'tap';
import { decideTag, type KnownTag, type TagDecision, type TagTimes } from '../../src/mirror/freshness.ts';
import { digestOf } from '../../src/oci/digest.ts';

const NOW = 1_000_000;
const TTL = 60_000;

function checked(agoMs: number, askAgainInMs?: number): KnownTag {
  return {
    digest: digestOf('any'),
    mediaType: 'any',
    size: 1,
    checkedAtMs: NOW - agoMs,
    ...(askAgainInMs !== undefined && { pause: { as: 'unconfirmed' as const, untilMs: NOW + askAgainInMs } }),
  };
}

const cases: [
  name: string,
  known: KnownTag | undefined,
  ttlMs: number,
  online: TagDecision,
  offline: TagDecision,
][] = [
  ['nothing is known', undefined, TTL, 'unknown', 'unknown'],
  ['just checked', checked(0), TTL, 'fresh', 'fresh'],
  ['checked a moment within its time ago', checked(TTL - 1), TTL, 'fresh', 'fresh'],
  ['checked its time ago', checked(TTL), TTL, 'confirm', 'stale'],
  ['checked long ago', checked(TTL * 100), TTL, 'confirm', 'stale'],
  ['just checked, and never believed', checked(0), 0, 'confirm', 'stale'],
  ['checked in the future: the clock was set back', checked(-1), TTL, 'confirm', 'stale'],
  ['old, and upstream has a pause', checked(TTL, 1), TTL, 'stale', 'stale'],
  ['old, and the pause is over', checked(TTL, 0), TTL, 'confirm', 'stale'],
  ['fresh, whatever the pause says', checked(0, 1), TTL, 'fresh', 'fresh'],
];

const PLAIN: TagTimes = { staleWhileRevalidateMs: 0, refreshAhead: false };

t.test('what becomes of a tag', async (t) => {
  for (const [name, known, ttlMs, online, offline] of cases) {
    t.equal(decideTag(known, NOW, ttlMs, PLAIN, false), online, name);
    t.equal(decideTag(known, NOW, ttlMs, PLAIN, true), offline, `${name}, offline`);
  }
});

t.test('what becomes of a tag that may be confirmed behind', async (t) => {
  const times: TagTimes = { staleWhileRevalidateMs: TTL, refreshAhead: true };
  const contested = (agoMs: number): KnownTag => ({ ...checked(agoMs), isContested: true });
  const behind: [name: string, known: KnownTag | undefined, ttlMs: number, decision: TagDecision][] = [
    ['nothing is known', undefined, TTL, 'unknown'],
    ['a fifth of its time is left', checked(TTL * 0.8 - 1), TTL, 'fresh'],
    ['less than a fifth is left', checked(TTL * 0.8), TTL, 'ahead'],
    ['the same, and upstream has a pause', checked(TTL - 1, 1), TTL, 'fresh'],
    ['the same, and clients must be told', contested(TTL - 1), TTL, 'fresh'],
    ['its time is over', checked(TTL), TTL, 'behind'],
    ['never believed', checked(0), 0, 'behind'],
    ['its time is over, and upstream has a pause', checked(TTL, 1), TTL, 'stale'],
    ['its time is over, and clients must be told', contested(TTL), TTL, 'confirm'],
    ['its second time is nearly over', checked(2 * TTL - 1), TTL, 'behind'],
    ['its second time is over', checked(2 * TTL), TTL, 'confirm'],
    ['checked in the future', checked(-1), TTL, 'confirm'],
  ];
  for (const [name, known, ttlMs, decision] of behind)
    t.equal(decideTag(known, NOW, ttlMs, times, false), decision, name);
  t.equal(decideTag(checked(TTL - 1), NOW, TTL, times, true), 'fresh', 'offline, nothing is confirmed');
  t.equal(decideTag(checked(TTL), NOW, TTL, times, true), 'stale');
});
