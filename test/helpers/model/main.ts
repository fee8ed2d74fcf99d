/** A program that runs the model: node test/helpers/model/main.ts RUNS SEED LANES [PATH]. Exits with 1 on a failure. */
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { Test } from 'tap';
import { hurryPauses } from '../hurried-pauses.ts';
import { placeInMemory } from '../memory-place.ts';
import { startFaultyRegistry } from './faulty-registry.ts';
import { anyRun } from './steps.ts';
import { World } from './world.ts';

const RUN_DEADLINE_MS = 30_000;
const PAUSE_FRACTION = 0.02;
const LEAST_LIMIT_MS = 200_000;

const [runs = 0, seed = 0, lanes = 1] = process.argv.slice(2, 5).map(Number);
const path = process.argv[5];
const endings: (() => unknown)[] = [];
const owner = {
  teardown: (work: () => unknown) => endings.push(work),
  fail: (message: string, extra: unknown) => {
    throw new Error(message, { cause: extra });
  },
} as unknown as Test; // it needs no more of one

hurryPauses(PAUSE_FRACTION);
const base = placeInMemory();
try {
  await Promise.all(Array.from({ length: lanes }, (_, number) => runLane(number)));
} catch (error) {
  console.error(inspect(error));
  process.exitCode = 1;
}
for (const end of endings) await end();

/** Much of a run is waiting for time-outs: several go on at once, each with an upstream and seeds of its own. */
async function runLane(number: number): Promise<void> {
  const upstream = await startFaultyRegistry(owner);
  const property = fc.asyncProperty(anyRun, ({ maxBytes, steps }) =>
    new World(upstream, maxBytes, base).run(steps),
  );
  await fc.assert(property, {
    seed: seed + number,
    numRuns: Math.ceil(runs / lanes),
    timeout: RUN_DEADLINE_MS,
    interruptAfterTimeLimit: Math.max(LEAST_LIMIT_MS, runs * 500), // a failure is told before it is at its smallest
    markInterruptAsFailure: true,
    ...(path !== undefined && { path, endOnFailure: true }),
  });
}
