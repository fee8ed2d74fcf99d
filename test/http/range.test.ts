import fc from 'fast-check';
import t from 'tap';
import { parseRange, resolveRange, type WantedRange } from '../../src/http/range.ts';

const etag = '"sha256:abc"';

t.test('parsing', async (t) => {
  const cases: [range: string | undefined, ifRange: string | undefined, expected: WantedRange][] = [
    [undefined, undefined, { kind: 'whole' }],
    ['bytes=0-', undefined, { kind: 'range', start: 0, end: undefined }],
    ['bytes=5-9', undefined, { kind: 'range', start: 5, end: 9 }],
    ['bytes=5-5', undefined, { kind: 'range', start: 5, end: 5 }],
    ['bytes=-5', undefined, { kind: 'suffix', length: 5 }],
    ['bytes = 5-9', undefined, { kind: 'range', start: 5, end: 9 }],
    ['Bytes=5-9', undefined, { kind: 'range', start: 5, end: 9 }],
    ['bytes=0-1,5-9', undefined, { kind: 'whole' }],
    ['bytes=0-1, -5', undefined, { kind: 'whole' }],
    ['pages=1-2', undefined, { kind: 'whole' }],
    ['bytes=5-9', etag, { kind: 'range', start: 5, end: 9 }],
    ['bytes=5-9', '"other"', { kind: 'whole' }],
    ['bytes=5-9', `W/${etag}`, { kind: 'whole' }],
    ['nonsense', '"other"', { kind: 'whole' }],
  ];
  for (const [range, ifRange, expected] of cases)
    t.same(parseRange(range, ifRange, etag), expected, `${range} ${ifRange ?? ''}`);
  const malformed = [
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=9-5',
    'bytes=a-b',
    'bytes=1',
    'bytes=1-2,',
    'bytes=1--2',
  ];
  for (const range of [...malformed, '5-9', '', 'bytes=1-2,x', `bytes=${'9'.repeat(20)}-`, 'bytes=0x1-'])
    t.same(parseRange(range, undefined, etag), { kind: 'malformed' }, range);
});

t.test('resolving', async (t) => {
  const cases: [wanted: WantedRange, size: number, expected: [start: number, end: number] | undefined][] = [
    [{ kind: 'whole' }, 10, [0, 10]],
    [{ kind: 'whole' }, 0, [0, 0]],
    [{ kind: 'range', start: 0, end: undefined }, 10, [0, 10]],
    [{ kind: 'range', start: 3, end: 5 }, 10, [3, 6]],
    [{ kind: 'range', start: 3, end: 99 }, 10, [3, 10]],
    [{ kind: 'range', start: 9, end: 9 }, 10, [9, 10]],
    [{ kind: 'range', start: 10, end: undefined }, 10, undefined],
    [{ kind: 'range', start: 0, end: undefined }, 0, undefined],
    [{ kind: 'suffix', length: 3 }, 10, [7, 10]],
    [{ kind: 'suffix', length: 99 }, 10, [0, 10]],
    [{ kind: 'suffix', length: 0 }, 10, undefined],
    [{ kind: 'suffix', length: 3 }, 0, undefined],
    [{ kind: 'malformed' }, 10, undefined],
  ];
  for (const [wanted, size, expected] of cases) {
    const part = resolveRange(wanted, size);
    t.same(part && [part.start, part.end], expected, `${JSON.stringify(wanted)} of ${size}`);
  }
});

t.test('a part is what RFC 9110 says it is', async (t) => {
  const content = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const offset = fc.nat(300);
  fc.assert(
    fc.property(fc.option(offset), fc.option(offset), fc.nat(256), (from, to, size) => {
      const part = resolveRange(parseRange(`bytes=${from ?? ''}-${to ?? ''}`, undefined, etag), size);
      const bytes = content.subarray(0, size);
      const expected = bytes.filter((_, n) =>
        from === null ? n >= size - (to ?? 0) : n >= from && (to === null || n <= to),
      );
      const isUnsatisfiable = expected.length === 0;
      return part ? bytes.subarray(part.start, part.end).equals(expected) : isUnsatisfiable;
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.string(), fc.nat(1000), (range, size) => {
      const part = resolveRange(parseRange(range, undefined, etag), size);
      return !part || (part.start >= 0 && part.start <= part.end && part.end <= size);
    }),
  );
  t.pass();
});
