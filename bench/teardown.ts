/** Owns what must be undone when a scenario is over, in the reverse order of its making. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

export class Teardown {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Undoes everything, whatever fails on the way; the first failure is thrown at the end. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** A directory that goes away at the end. */
  async directory(purpose: string): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), `hubcap-bench-${purpose}-`));
    this.add(() => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
    return path;
  }

  /** For the launchers of `test/helpers`, which ask a test for nothing but what is here. */
  asTest(): Test {
    const test = {
      teardown: (step: () => unknown) => this.add(step),
      passing: () => true,
      comment: () => undefined,
      fail: (reason: string, { error }: { error?: unknown } = {}) => {
        throw new Error(reason, { cause: error });
      },
    };
    return test as unknown as Test;
  }
}

/** What one part starts has ended before the next begins; at the latest when `outer` ends. */
export async function inTurn(outer: Teardown, part: (fresh: Teardown) => Promise<void>): Promise<void> {
  const fresh = new Teardown();
  outer.add(() => fresh.run());
  try {
    await part(fresh);
  } finally {
    await fresh.run();
  }
}
