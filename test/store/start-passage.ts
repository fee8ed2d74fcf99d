/** Starts downloads that pass by, without a store. */
import { type Digest, hashFor } from '../../src/oci/digest.ts';
import { FillSources, type OpenInput } from '../../src/store/fill-sources.ts';
import { Passage, type PassageSurroundings } from '../../src/store/passage.ts';
import { Passages } from '../../src/store/passages.ts';
import { until } from '../helpers/waiting.ts';
import type { Source } from './source.ts';

const origin = { upstream: 'docker.io', repository: 'library/alpine' };

export interface StartedPassages {
  passages: Passages;
  /** how each ended, and what was thrown away, in order */
  told: string[];
  join(): Promise<Passage>;
}

/** @param source a whole `Source`, or what is needed of one */
export function startPassages(
  source: { digest: Digest; open: OpenInput },
  { digest = source.digest } = {},
): StartedPassages {
  const told: string[] = [];
  const passages = new Passages({
    discarded: () => told.push('discarded'),
    ended: (result) => told.push(typeof result === 'string' ? result : 'failed'),
    now: Date.now,
  });
  const sources = new FillSources(origin, source.open);
  return {
    passages,
    told,
    join: async () => {
      const passage = await passages.join(digest, sources);
      if (!passage) throw new Error('upstream does not have it');
      return passage;
    },
  };
}

export interface PatientOptions {
  digest?: Digest;
  windowBytes?: number;
  /** who is asked when the content was wrong */
  again?: Source;
  /** how long it waits for who is slow; until the test says `lose` where it is left out */
  patience?: PassageSurroundings['patience'];
}

export interface Patient {
  around: PassageSurroundings;
  /** those of readers that were left behind, in order */
  splits: Passage[];
  /** how each ended, and what was thrown away, in order */
  told: string[];
  /** in all windows */
  heldBytes(): number;
  /** Waits until somebody slow is waited for. */
  isWaitedFor(): Promise<void>;
  /** Ends the patience with who is slow, once it is needed. */
  lose(): Promise<void>;
}

/** What is around a passage and those that come of it, with a patience that the test ends. */
export function patient(
  source: Source,
  { windowBytes = 256 * 1024, again = source, patience }: PatientOptions = {},
): Patient {
  const splits: Passage[] = [];
  const told: string[] = [];
  const waiting = new Set<() => void>();
  const held = { bytes: 0 };
  const around: PassageSurroundings = {
    open: async (from, signal, isAfresh) => {
      const input = await (isAfresh ? again : source).open({
        from,
        signal,
        purpose: isAfresh ? 'again' : 'passage',
      });
      if (!input) throw new Error('upstream does not have it');
      return input.chunks[Symbol.asyncIterator]();
    },
    mayGrow: (bytes) => bytes < windowBytes,
    holds: (moreBytes) => {
      held.bytes += moreBytes;
    },
    split: (start) => {
      const split = new Passage(start, around);
      splits.push(split);
      return split;
    },
    discarded: () => told.push('discarded'),
    ended: (_, result) => told.push(typeof result === 'string' ? result : 'failed'),
    patience: patience ?? ((signal) => untilLost(waiting, signal)),
    now: Date.now,
  };
  const isWaitedFor = (): Promise<void> => until('somebody slow is waited for', () => waiting.size > 0);
  const lose = async (): Promise<void> => {
    await isWaitedFor();
    for (const end of waiting) end();
  };
  return { around, splits, told, heldBytes: () => held.bytes, isWaitedFor, lose };
}

/** A passage from the content's first byte, as `patient`. */
export function startPatient(source: Source, options: PatientOptions = {}): Patient & { passage: Passage } {
  const { digest = source.digest } = options;
  const made = patient(source, options);
  const abort = new AbortController();
  source.asked.push(0);
  const { size, chunks } = source.input(0, abort.signal);
  const window = { start: 0, chunks: [], hash: hashFor(digest), hashedUpTo: 0 };
  const start = { digest, size, window, abort };
  return { ...made, passage: new Passage({ ...start, chunks: chunks[Symbol.asyncIterator]() }, made.around) };
}

async function untilLost(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.add(resolve);
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await promise;
  waiting.delete(resolve);
}
