import t from 'tap';
import { CHARTS, columnsOf, hourRows } from '../../page/chart-specs.ts';
import { daemonNowMs, joinSamples, MINUTE_MS, minutesOf, sampleOf, sumOf } from '../../page/hour.ts';
import type { HistorySample } from '../../src/admin/history.ts';
import { busyHour, statusAt, statusOf } from './documents.ts';

const HOUR_MS = 3600_000;
const end = Date.parse('2026-11-22T12:00:30Z');
const zero: HistorySample = {
  atMs: end,
  hits: 0,
  fetched: 0,
  stale: 0,
  failed: 0,
  storeBytes: 0,
  fillBytes: 0,
  bypassBytes: 0,
  fetchedBytes: 0,
  fills: 0,
  readers: 0,
  usedBytes: 0,
};

t.test('no request is lost or counted twice between samples and minutes', async (t) => {
  const samples = busyHour(end);
  const minutes = minutesOf(samples, end);
  t.equal(minutes.length, 60);
  t.equal(
    minutes.at(-1)?.startMs,
    Date.parse('2026-11-22T12:00:00Z'),
    'the last minute is the one that runs',
  );
  const first = samples.find(({ atMs }) => atMs >= (minutes[0]?.startMs ?? 0) - 10_000);
  const last = samples.at(-1);
  t.equal(Math.round(sumOf(minutes).hits), (last?.hits ?? 0) - (first?.hits ?? 0));
  t.ok(
    minutes.every(({ hits }) => Number.isInteger(hits)),
    'requests stay whole',
  );
});

t.test('before the start nothing is known, which is not the same as nothing', async (t) => {
  const samples = [0, 1, 2].map((i) => ({ ...zero, atMs: end - 20_000 + i * 10_000, hits: i }));
  const minutes = minutesOf(samples, end);
  t.same(minutes.map(({ knownMs }) => knownMs > 0).lastIndexOf(false), 58);
  const requests = CHARTS.find(({ id }) => id === 'requests');
  if (!requests) throw new Error('no such chart');
  const [fromHere] = columnsOf(requests, minutes);
  t.same(fromHere?.slice(-2), [null, 6], 'two in twenty seconds');
});

t.test('a restart begins anew, and a gap is spread over its minutes', async (t) => {
  const restarted = [
    { ...zero, atMs: end - 20_000, hits: 500 },
    { ...zero, atMs: end - 10_000, hits: 3 },
    { ...zero, hits: 7 },
  ];
  t.equal(sumOf(minutesOf(restarted, end)).hits, 4);
  const gap = [
    { ...zero, atMs: end - 10 * MINUTE_MS },
    { ...zero, hits: 110 },
  ];
  const spread = minutesOf(gap, end)
    .slice(-11)
    .map(({ hits }) => Math.round(hits));
  t.same(spread, Array(11).fill(10));
});

t.test('gauges are the most of a minute', async (t) => {
  const samples = [4, 9, 2].map((fills, i) => ({
    ...zero,
    atMs: end - 20_000 + i * 10_000,
    fills,
    readers: fills * 2,
  }));
  t.match(minutesOf(samples, end).at(-1), { fills: 9, readers: 18 });
});

t.test('samples are joined once each, and the old ones go', async (t) => {
  const samples = busyHour(end);
  t.same(joinSamples(samples.slice(0, 300), samples.slice(290)).length, 361);
  const later = joinSamples(samples, [{ ...zero, atMs: end + HOUR_MS / 2 }]);
  t.ok((later[0]?.atMs ?? 0) >= end + HOUR_MS / 2 - 61 * MINUTE_MS);
  t.equal(later.length, 188, '31 minutes of those before, and the new one');
});

t.test('the status is one more sample, by the clock of the daemon', async (t) => {
  const last = busyHour(end).at(-1);
  if (!last) throw new Error('no samples');
  const status = statusAt(last);
  t.equal(daemonNowMs(status), end);
  const { fills: _f, readers: _r, failed: _x, ...counted } = last;
  t.match(sampleOf(status), { ...counted, fills: 0 });
  t.equal(sampleOf({ ...statusOf(end), totals: undefined }), undefined);
});

t.test('bars stand on each other, lines for themselves', async (t) => {
  const samples = [
    { ...zero, atMs: end - 10_000 },
    {
      ...zero,
      hits: 10,
      stale: 4,
      fetched: 3,
      failed: 2,
      storeBytes: 1000,
      fillBytes: 500,
      fetchedBytes: 300,
    },
  ];
  const minutes = minutesOf(samples, end);
  const last = (id: string) => {
    const spec = CHARTS.find((one) => one.id === id);
    return spec && columnsOf(spec, minutes).map((column) => column.at(-1));
  };
  t.same(last('requests'), [18, 30, 39, 45], 'per minute');
  t.same(last('traffic'), [50, 75, 75, 15], 'bytes per second');
  t.match(last('hit-rate'), [10 / 13]);
});

t.test('the charts in words', async (t) => {
  const minutes = minutesOf(busyHour(end, true), end);
  for (const { id, summary } of CHARTS) t.match(summary(minutes), /\d/, `${id}: ${summary(minutes)}`);
  const rows = hourRows(minutes);
  t.equal(rows.length, 12);
  t.match(rows[0], { when: /^\d\d:56 to \d\d:01$/ });
  t.equal(rows[0]?.cells.length, 9);
  t.same(hourRows(minutesOf([], end)), []);
});
