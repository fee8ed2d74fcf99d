/** Owns how sizes and durations are written: text to bytes or milliseconds, and back. Pure. */

const KIB = 1024;
const byteUnits: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['tb', 1e12],
  ['pb', 1e15],
  ['kib', KIB],
  ['mib', KIB ** 2],
  ['gib', KIB ** 3],
  ['tib', KIB ** 4],
  ['pib', KIB ** 5],
]);
const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

const durationUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/**
 * Bytes written as `50GiB`, `10GB`, `1.5MiB`, `512 MiB` or a bare count: decimal and binary units, case ignored,
 * rounded to whole bytes. `undefined` for what is not a size or is beyond a safe integer. `G` alone is refused:
 * programs disagree about what it means.
 */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+)(\.\d+)?(?: ?([a-z]+))?$/i.exec(text);
  if (match === null) return undefined;
  const [, whole = '', fraction = '', unit = ''] = match;
  const factor = byteUnits.get(unit === '' ? 'b' : unit.toLowerCase());
  if (factor === undefined || (fraction !== '' && factor === 1)) return undefined;
  const bytes = Math.round(Number(whole + fraction) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * Milliseconds written as `500ms`, `30s`, `1m30s`, `1.5h` or `2d`: units from large to small, each at most once. A
 * bare number is no duration. `undefined` for anything else, for parts of a millisecond, and beyond a safe integer.
 */
export function parseDuration(text: string): number | undefined {
  let rest = text;
  let total = 0;
  for (const [unit, factor] of durationUnits) {
    const match = new RegExp(`^(\\d+(?:\\.\\d+)?)${unit}(?![a-z])`).exec(rest);
    if (match === null) continue;
    // Products of decimals are off by less than a millionth of a millisecond: 1.001s is 1001 ms, not 1000.9999….
    total += Number((Number(match[1]) * factor).toFixed(6));
    rest = rest.slice(match[0].length);
  }
  const isComplete = text !== '' && rest === '';
  return isComplete && Number.isSafeInteger(total) ? total : undefined;
}

/** Bytes for people, in the largest binary unit that fits, to one decimal: `49.3GiB`, `512MiB`, `0B`. */
export function formatBytes(bytes: number): string {
  let scaled = bytes;
  let step = 0;
  while (step < binaryUnits.length - 1 && Number(scaled.toFixed(1)) >= KIB) {
    scaled /= KIB;
    step += 1;
  }
  return `${Number(scaled.toFixed(1))}${binaryUnits[step]}`;
}

/** Bytes as `parseBytes` reads them back without loss: the shortest of `50GiB`, `10GB`, `1234567B`. */
export function formatExactBytes(bytes: number): string {
  let shortest = `${bytes}B`;
  for (const unit of ['KB', 'MB', 'GB', 'TB', 'PB', ...binaryUnits]) {
    const count = bytes / (byteUnits.get(unit.toLowerCase()) ?? 1);
    const text = `${count}${unit}`;
    if (Number.isInteger(count) && count > 0 && text.length <= shortest.length) shortest = text;
  }
  return shortest;
}

/** Whole milliseconds as `parseDuration` reads them back without loss: `1m30s`, `500ms`, `0s`. */
export function formatDuration(durationMs: number): string {
  let rest = durationMs;
  let text = '';
  for (const [unit, factor] of durationUnits) {
    const count = Math.floor(rest / factor);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * factor;
  }
  return text === '' ? '0s' : text;
}
