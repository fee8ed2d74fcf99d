import t from 'tap';
import { decideTag, type KnownTag, type TagDecision } from '../../src/mirror/freshness.ts';
import { digestOf } from '../../src/oci/digest.ts';

const NOW = 1_000_000;
const TTL = 60_000;

function checked(agoMs: number, askAgainInMs?: number): KnownTag {
  return {
    digest: digestOf('any'),
    mediaType: 'any',
    size: 1,
    checkedAtMs: NOW - agoMs,
    ...(askAgainInMs !== undefined && { askAgainAtMs: NOW + askAgainInMs }),
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

t.test('what becomes of a tag', async (t) => {
  for (const [name, known, ttlMs, online, offline] of cases) {
    t.equal(decideTag(known, NOW, ttlMs, false), online, name);
    t.equal(decideTag(known, NOW, ttlMs, true), offline, `${name}, offline`);
  }
});
