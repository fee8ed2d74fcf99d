/** Owns what a scenario is, and what it finds. */
import type { Teardown } from './teardown.ts';

/** The columns of the table. */
export const contestants = [
  'hubcap',
  'docker-registry',
  'distribution 3',
  'zot',
  'nginx cache',
  'nginx cache, slices',
  'nginx',
  'nginx sendfile',
  'direct',
  'tar + sha256sum',
] as const;
export type Contestant = (typeof contestants)[number];

/** One thing that was measured on one contestant, once per round. */
export interface Measurement {
  /** `cached manifest by digest` */
  name: string;
  /** `requests/s` */
  unit: string;
  contestant: Contestant;
  rounds: number[];
}

/** What a contestant was seen to do, in words. */
export interface Behaviour {
  name: string;
  contestant: Contestant;
  found: string;
}

/** A target of the project, and whether it was reached. */
export interface Check {
  name: string;
  target: string;
  found: string;
  passed: boolean;
}

export interface Context {
  teardown: Teardown;
  /** shorter, with fewer rounds: to see that it works, not to quote */
  isQuick: boolean;
  say(text: string): void;
}

export interface Findings {
  measurements: Measurement[];
  checks: Check[];
  behaviours?: Behaviour[];
  /** what a reader of the tables must know: versions, who was left out */
  notes?: string[];
}

export interface Scenario {
  name: string;
  describe: string;
  /** programs that must be there */
  needs: readonly string[];
  run(context: Context): Promise<Findings>;
}

/** Collects what the rounds of a scenario find. */
export class Sheet {
  readonly #measurements = new Map<string, Measurement>();

  note(name: string, unit: string, contestant: Contestant, value: number): void {
    const key = `${name} ${unit} ${contestant}`;
    const known = this.#measurements.get(key);
    if (known) known.rounds.push(value);
    else this.#measurements.set(key, { name, unit, contestant, rounds: [value] });
  }

  /** @throws where nothing was noted */
  rounds(name: string, unit: string, contestant: Contestant): number[] {
    const found = this.#measurements.get(`${name} ${unit} ${contestant}`);
    if (!found) throw new Error('never measured', { cause: { name, unit, contestant } });
    return found.rounds;
  }

  get measurements(): Measurement[] {
    return [...this.#measurements.values()];
  }
}
