/** Owns how a cell of the fault matrix reads, and how what came of it is compared with what must come of it. */
import type { Test } from 'tap';
import type { Received } from '../../helpers/client.ts';
import { FAULTS, type Fault, PLACES, type Place } from '../../helpers/faults.ts';

/** What the one request of a client came to; a number is the status of a complete answer that is an error. */
export type Client = 'whole' | 'broken' | number;
/** `partial`: so many bytes of it are kept, to be gone on with. */
export type Disk = 'stored' | 'nothing' | { partial: number };
/** A number, or from … to. */
export type Bound = number | readonly [from: number, to: number];
/** `requests` that upstream was asked and `bytes` of bodies that it sent, of this content. */
export type Outcome = readonly [
  client: Client | readonly Client[],
  requests: Bound,
  bytes: Bound,
  disk: Disk,
];

/**
 * `once`: upstream is well after the first fault; `always`: it is not until the test says so.
 * A sentence stands where a cell makes no sense.
 */
export type Cell = readonly [fault: Fault, place: Place, once: Outcome | string, always: Outcome | string];

/** One half of a cell, to be run. */
export interface CellRun {
  fault: Fault;
  place: Place;
  isOnce: boolean;
  outcome: Outcome;
}

export interface Found {
  client: string;
  requests: number;
  bytes: number;
  disk: Disk;
}

/** Runs each cell that makes sense as a test of its own, several at once, and holds that none is missing. */
export function runCells(
  t: Test,
  cells: readonly Cell[],
  run: (t: Test, cell: CellRun) => Promise<void>,
): void {
  t.jobs = 8;
  const all = FAULTS.flatMap((fault) => PLACES.map((place) => `${fault}, ${place}`));
  t.same(
    cells.map(([fault, place]) => `${fault}, ${place}`).sort(),
    all.sort(),
    'every cell is in the table',
  );
  for (const [fault, place, once, always] of cells) {
    for (const [often, outcome] of [
      ['once', once],
      ['always', always],
    ] as const) {
      const name = `${fault}, ${place}, ${often}`;
      if (typeof outcome === 'string') t.pass(`${name}: ${outcome}`);
      else
        t.test(name, { buffered: true }, (t) => run(t, { fault, place, isOnce: often === 'once', outcome }));
    }
  }
}

/** @returns what a client got, in the words of the table; anything else is a sentence that no table holds */
export function describeClient({ status, isComplete, body }: Received, right: Buffer): string {
  if (status >= 400) return isComplete ? String(status) : `${status}, broken off`;
  if (!isComplete) return 'broken';
  return body.equals(right) ? 'whole' : `complete and wrong: ${body.length} bytes with status ${status}`;
}

export function checkOutcome(t: Test, found: Found, [client, requests, bytes, disk]: Outcome): void {
  const clients = [client].flat().map(String);
  t.ok(clients.includes(found.client), `the client got: ${found.client}`, { wanted: clients });
  t.ok(isWithin(found.requests, requests), `upstream was asked ${found.requests} times`, {
    wanted: requests,
  });
  t.ok(isWithin(found.bytes, bytes), `upstream sent ${found.bytes} bytes`, { wanted: bytes });
  t.same(found.disk, disk, `on disk is: ${JSON.stringify(found.disk)}`);
}

function isWithin(found: number, bound: Bound): boolean {
  const [from, to] = typeof bound === 'number' ? [bound, bound] : bound;
  return found >= from && found <= to;
}
