/** Owns disks that misbehave: calls that fail, or hang behind a gate, until the fault is lifted. */
import type { Test } from 'tap';
import { type DiskCall, diskError, watchDisk } from './disk-calls.ts';
import { makeGate } from './waiting.ts';

export interface DiskFault {
  /** how many calls it has met */
  readonly hits: number;
  lift(): void;
}

export interface FaultChoice {
  matches: (call: DiskCall) => boolean;
  /** spares so many that match */
  after?: number;
  /** meets no more than so many */
  times?: number;
}

/** Which calls: by operation, and by a part of the path. */
export function calls(operations: string, part = ''): (call: DiskCall) => boolean {
  const wanted = new Set(operations.split(' '));
  return ({ operation, path }) => wanted.has(operation) && path.includes(part);
}

/** Makes calls fail with an error of the operating system (`EIO`). */
export function failDisk(t: Test, directory: string, code: string, choice: FaultChoice): DiskFault {
  return meddle(t, directory, choice, (call) => {
    throw diskError(code, call);
  });
}

/** Makes calls wait until the fault is lifted. */
export function hangDisk(t: Test, directory: string, choice: FaultChoice): DiskFault {
  const gate = makeGate();
  const fault = meddle(t, directory, choice, () => gate.opened);
  t.teardown(gate.open);
  return {
    get hits() {
      return fault.hits;
    },
    lift: () => {
      fault.lift();
      gate.open();
    },
  };
}

function meddle(
  t: Test,
  directory: string,
  { matches, after = 0, times = Number.POSITIVE_INFINITY }: FaultChoice,
  act: (call: DiskCall) => void | Promise<void>,
): DiskFault {
  let matched = 0;
  let hits = 0;
  const lift = watchDisk(directory, {
    before: (call) => {
      if (!matches(call)) return;
      matched += 1;
      if (matched <= after || hits >= times) return;
      hits += 1;
      return act(call);
    },
  });
  t.teardown(lift);
  return {
    get hits() {
      return hits;
    },
    lift,
  };
}
