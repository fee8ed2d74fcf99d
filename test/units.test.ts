import fc from 'fast-check';
import t from 'tap';
import { formatBytes, formatDuration, formatExactBytes, parseBytes, parseDuration } from '../src/units.ts';

const safeInteger = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

t.test('sizes', async (t) => {
  const sizes: [string, number | undefined][] = [
    ['50GiB', 50 * 1024 ** 3],
    ['10GB', 10e9],
    ['512MiB', 512 * 1024 ** 2],
    ['1024', 1024],
    ['0', 0],
    ['7B', 7],
    ['1.5KiB', 1536],
    ['0.1KiB', 102],
    ['2 TB', 2e12],
    ['1pib', 1024 ** 5],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740993', undefined],
    ['9PiB', undefined],
    ['', undefined],
    [' 1GiB', undefined],
    ['1GiB ', undefined],
    ['1 ', undefined],
    ['-1GiB', undefined],
    ['+1', undefined],
    ['1.5', undefined],
    ['1.5B', undefined],
    ['.5GiB', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['5G', undefined],
    ['5Gi', undefined],
    ['NaN', undefined],
    ['Infinity', undefined],
    ['50%', undefined],
    ['50 gigs', undefined],
  ];
  for (const [text, bytes] of sizes) t.equal(parseBytes(text), bytes, JSON.stringify(text));
});

t.test('durations', async (t) => {
  const durations: [string, number | undefined][] = [
    ['1m30s', 90_000],
    ['500ms', 500],
    ['2h', 7_200_000],
    ['0s', 0],
    ['7d', 604_800_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['1.5s', 1500],
    ['1.001s', 1001],
    ['0.5h', 1_800_000],
    ['', undefined],
    ['0', undefined],
    ['60', undefined],
    ['-1s', undefined],
    ['1s1m', undefined],
    ['1m1m', undefined],
    ['1h30', undefined],
    ['1 m', undefined],
    ['1M', undefined],
    ['1min', undefined],
    ['0.5ms', undefined],
    ['1us', undefined],
    ['999999999999d', undefined],
  ];
  for (const [text, durationMs] of durations) t.equal(parseDuration(text), durationMs, JSON.stringify(text));
});

t.test('what is formatted is read back', async () => {
  fc.assert(fc.property(safeInteger, (bytes) => parseBytes(formatExactBytes(bytes)) === bytes));
  fc.assert(
    fc.property(safeInteger, (durationMs) => parseDuration(formatDuration(durationMs)) === durationMs),
  );
});

t.test('a size for people is off by five hundredths of its unit at most', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4 * 1024 ** 5 }), (bytes) => {
      const shown = parseBytes(formatBytes(bytes)) ?? Number.NaN;
      return Math.abs(shown - bytes) <= Math.max(bytes, 1) * 0.05;
    }),
  );
});

t.test('no text makes the parsers throw or leave the safe integers', async () => {
  const written = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[0-9.]{1,20} ?[kmgtpidhsKMGTPB]{0,4}[0-9]?[ms]{0,2}$/),
  );
  fc.assert(
    fc.property(written, (text) =>
      [parseBytes(text), parseDuration(text)].every(
        (value) => value === undefined || (Number.isSafeInteger(value) && value >= 0),
      ),
    ),
  );
});

t.test('how they are shown', async (t) => {
  t.same([0, 1023, 1024, 1_048_550, 52_940_000_000].map(formatBytes), [
    '0B',
    '1023B',
    '1KiB',
    '1MiB',
    '49.3GiB',
  ]);
  t.same([0, 5e9, 1024 ** 3, 1500, 1234567].map(formatExactBytes), [
    '0B',
    '5GB',
    '1GiB',
    '1500B',
    '1234567B',
  ]);
  t.same([0, 90_000, 86_400_000, 1].map(formatDuration), ['0s', '1m30s', '1d', '1ms']);
});
