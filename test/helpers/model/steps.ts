/** Owns what may happen in a run of the model, and how likely it is. */
import fc from 'fast-check';
import { KIB, MIB } from '../content.ts';
import { contents } from './contents.ts';
import type { Fault } from './faulty-registry.ts';

export type Wanted = { from: number; to?: number } | { last: number } | undefined;

export type Step =
  /** a client that reads to the end; the next step waits for it or not */
  | { do: 'pull'; which: number; repository: number; range: Wanted; isAwaited: boolean }
  | { do: 'crowd'; which: number; clients: number }
  | { do: 'head'; which: number; repository: number }
  /** a client that is gone after so many bytes */
  | { do: 'leave'; which: number; after: number }
  | { do: 'unknown' }
  | { do: 'arm'; which: number; fault: Fault }
  | { do: 'settle' | 'crash' | 'restart' };

export interface Run {
  maxBytes: number;
  steps: Step[];
}

const which = fc.nat(contents.length - 1);
const repository = fc.nat(1);
/** Around every border. */
const offset = fc.oneof(
  fc.nat(MIB + 600 * KIB),
  fc.constantFrom(0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, MIB + 64 * KIB),
);

const range: fc.Arbitrary<Wanted> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ from: offset }) },
  { weight: 1, arbitrary: fc.record({ last: offset }) },
  {
    weight: 1,
    arbitrary: fc.tuple(offset, offset).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
  },
);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('reset' as const), after: offset }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('status' as const),
      status: fc.constantFrom(500, 503, 404, 403),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('corrupt' as const), at: offset }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...(['html', 'gzip', 'no ranges', 'chunked', 'shorter', 'longer'] as const).map((kind) => ({ kind })),
    ),
  },
  // These cost real time.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stall' as const), after: offset }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'silent' as const }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('pull' as const),
      which,
      repository,
      range,
      isAwaited: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crowd' as const),
      which,
      clients: fc.integer({ min: 2, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('head' as const), which, repository }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), which, after: offset }) },
  { weight: 1, arbitrary: fc.constant({ do: 'unknown' as const }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('arm' as const), which, fault }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      { do: 'settle' as const },
      { do: 'crash' as const },
      { do: 'restart' as const },
    ),
  },
);

/** Budgets that hold nothing of some content, some of it, and all. */
const maxBytes = fc.constantFrom(512 * KIB, 2 * MIB, 3_333_333, 64 * MIB);

export const anyRun: fc.Arbitrary<Run> = fc.record({
  maxBytes,
  steps: fc.array(step, { minLength: 1, maxLength: 14 }),
});
