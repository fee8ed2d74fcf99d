import fc from 'fast-check';
import t from 'tap';
import { Rest } from '../../src/upstream/rest.ts';

function start(random = () => 0) {
  const clock = { nowMs: 1e12 };
  const rest = new Rest({ firstMs: 10_000, maxMs: 60_000, now: () => clock.nowMs, random });
  return { clock, rest };
}

t.test('a time that upstream named', async (t) => {
  const { clock, rest } = start();
  t.equal(rest.enter(), 0);
  t.ok(rest.begin(30_000));
  t.equal(rest.enter(), 30_000);
  clock.nowMs += 20_000;
  t.notOk(rest.begin(5_000), 'it has begun');
  t.equal(rest.leftMs, 10_000, 'and is not made shorter');
  t.notOk(rest.begin(25_000));
  t.equal(rest.leftMs, 25_000, 'but longer');
  clock.nowMs += 25_000;
  t.same([rest.enter(), rest.enter(), rest.enter()], [0, 0, 0], 'upstream said that then all may ask');
});

t.test('a guess doubles up to its bound, and is forgotten when all is well', async (t) => {
  const { clock, rest } = start();
  for (const ms of [10_000, 20_000, 40_000, 60_000, 60_000]) {
    t.ok(rest.begin());
    t.equal(rest.leftMs, ms);
    clock.nowMs += ms;
  }
  rest.end(rest.era);
  t.ok(rest.begin());
  t.equal(rest.leftMs, 10_000);
});

t.test('many who meet one refusal are one rest', async (t) => {
  const { clock, rest } = start();
  t.same(
    Array.from({ length: 5 }, () => rest.begin()),
    [true, false, false, false, false],
  );
  clock.nowMs += 10_000;
  rest.begin();
  t.equal(rest.leftMs, 20_000);
});

t.test('jitter makes a guess longer, never shorter', async (t) => {
  const { rest } = start(() => 1);
  rest.begin();
  t.equal(rest.leftMs, 12_500);
});

t.test('after a guess one goes ahead', async (t) => {
  const { clock, rest } = start();
  rest.begin();
  clock.nowMs += 10_000;
  t.equal(rest.enter(), 0);
  t.equal(rest.enter(), 5_000, 'the others wait');
  rest.leave();
  t.equal(rest.enter(), 0, 'it learnt nothing: the next goes');
  clock.nowMs += 5_000;
  t.equal(rest.enter(), 0, 'as when it is not heard of again');
  rest.begin();
  t.equal(rest.leftMs, 20_000, 'it met the same');
  rest.leave();
  t.equal(rest.leftMs, 20_000, 'and leaving does not end that');
  clock.nowMs += 20_000;
  rest.enter();
  rest.end(rest.era);
  t.same([rest.enter(), rest.enter()], [0, 0], 'it is well again');
});

t.test('an answer to what was asked before does not end it', async (t) => {
  const { rest } = start();
  const { era } = rest;
  rest.begin(30_000);
  rest.end(era);
  t.equal(rest.leftMs, 30_000);
  rest.end(rest.era);
  t.equal(rest.leftMs, 0);
});

t.test('whatever happens, it ends', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('begin' as const), ms: fc.option(fc.integer({ min: 1000, max: 60_000 })) }),
    fc.record({ do: fc.constantFrom('enter' as const, 'leave', 'end'), ms: fc.constant(null) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60_000) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const { clock, rest } = start(Math.random);
      for (const { do: what, ms } of steps) {
        if (what === 'begin') rest.begin(ms ?? undefined);
        else if (what === 'end') rest.end(rest.era);
        else if (what === 'wait') clock.nowMs += ms ?? 0;
        else rest[what]();
        if (rest.leftMs > 60_000) return false;
      }
      clock.nowMs += 60_000;
      return rest.enter() === 0;
    }),
  );
});

t.test('a clock that is set back ends a rest', (t) => {
  let nowMs = 10_000_000;
  const rest = new Rest({ firstMs: 30_000, maxMs: 60_000, now: () => nowMs, random: () => 0 });
  for (const namedMs of [undefined, 600_000]) {
    rest.begin(namedMs);
    t.ok(rest.leftMs > 0);
    nowMs -= 3_600_000;
    t.equal(rest.leftMs, 0);
    t.equal(rest.enter(), 0);
    rest.end(rest.era);
  }
  t.end();
});
