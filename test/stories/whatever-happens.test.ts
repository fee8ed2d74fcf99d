import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';

const RUNS = Number(process.env.MODEL_RUNS ?? 1000);
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** with the seed of a failure: repeats that one */
const PATH = process.env.MODEL_PATH;
const PROGRAM = join(import.meta.dirname, '../helpers/model/main.ts');
const PROCESSES = PATH === undefined ? 2 : 1;
const LANES = PATH === undefined ? 6 : 1;

/** A process of its own: tap follows each promise of this one, and there are millions. */
async function runModel(t: Test, runs: number, seed: number): Promise<void> {
  const values = [runs, seed, LANES].map(String).concat(PATH ?? []);
  const child = spawn(process.execPath, [PROGRAM, ...values], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => child.kill());
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.equal(code, 0, said === '' ? 'all answers are right, and the books balance' : said);
}

t.setTimeout(Math.max(300_000, RUNS * 1000));

t.test(`pulls, faults, crashes in any order, MODEL_RUNS=${RUNS} MODEL_SEED=${SEED}`, async (t) => {
  const share = Math.ceil(RUNS / PROCESSES);
  await Promise.all(
    Array.from({ length: PROCESSES }, (_, number) => runModel(t, share, SEED + number * LANES)),
  );
});
