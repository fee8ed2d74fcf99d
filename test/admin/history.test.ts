import t from 'tap';
import { HISTORY_INTERVAL_MS, History } from '../../src/admin/history.ts';
import { emptyTotals } from '../../src/totals.ts';

function startHour() {
  const totals = emptyTotals();
  const clock = { ms: 1_000_000 };
  const running = { fills: 0, readers: 0, usedBytes: 0 };
  const history = new History({ totals, running: () => ({ ...running }), now: () => clock.ms });
  const pass = (): void => {
    clock.ms += HISTORY_INTERVAL_MS;
    history.sample();
  };
  return { totals, running, clock, history, pass };
}

t.test('what happened between two samples is their difference', async (t) => {
  const { totals, running, history, pass } = startHour();
  totals.requests.hit = 5;
  totals.requests.coalesced = 1;
  totals.requests.revalidated = 2;
  totals.requests.stale = 3;
  totals.requests.miss = 4;
  totals.requests.bypass = 1;
  totals.requests.absent = 9;
  totals.requests.denied = 1;
  totals.requests.error = 1;
  totals.servedBytes.store = 700;
  totals.servedBytes.fill = 200;
  totals.servedBytes.bypass = 100;
  totals.fetchedBytes = 300;
  Object.assign(running, { fills: 2, readers: 7, usedBytes: 4096 });
  pass();
  const { intervalMs, samples } = history.since(0);
  t.equal(intervalMs, HISTORY_INTERVAL_MS);
  t.match(samples[0], { hits: 0, fetched: 0, storeBytes: 0, fills: 0 });
  t.same(samples[1], {
    atMs: 1_000_000 + HISTORY_INTERVAL_MS,
    ...{ hits: 11, fetched: 5, stale: 3, failed: 2 },
    ...{ storeBytes: 700, fillBytes: 200, bypassBytes: 100, fetchedBytes: 300 },
    ...{ fills: 2, readers: 7, usedBytes: 4096 },
  });
});

t.test('an hour is kept, and no more', async (t) => {
  const { history, pass, clock } = startHour();
  for (let at = 0; at < 1000; at++) pass();
  const { samples } = history.since(0);
  t.equal(samples.length, 361, 'both ends of an hour');
  t.equal(samples.at(-1)?.atMs, clock.ms);
  t.equal(clock.ms - (samples[0]?.atMs ?? 0), 3600_000);
});

t.test('who has seen some is told the rest', async (t) => {
  const { history, pass, clock } = startHour();
  pass();
  const seen = clock.ms;
  pass();
  pass();
  t.same(
    history.since(seen).samples.map(({ atMs }) => atMs - seen),
    [HISTORY_INTERVAL_MS, 2 * HISTORY_INTERVAL_MS],
  );
  t.same(history.since(clock.ms).samples, []);
});

t.test('a clock that is set back does not hide what comes', async (t) => {
  const { history, pass, clock } = startHour();
  for (let at = 0; at < 5; at++) pass();
  clock.ms -= 2 * HISTORY_INTERVAL_MS;
  pass();
  const times = history.since(0).samples.map(({ atMs }) => atMs);
  t.same(
    times,
    [...times].sort((a, b) => a - b),
  );
  t.equal(times.at(-1), clock.ms);
  pass();
  t.equal(history.since(times.at(-1) ?? 0).samples.length, 1);
});
