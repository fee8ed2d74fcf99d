/** Starts downloads that pass by, without a store. */
import type { Digest } from '../../src/oci/digest.ts';
import { FillSources } from '../../src/store/fill-sources.ts';
import type { Passage } from '../../src/store/passage.ts';
import { Passages } from '../../src/store/passages.ts';
import type { Source } from './source.ts';

const origin = { upstream: 'docker.io', repository: 'library/alpine' };

export interface StartedPassages {
  passages: Passages;
  /** how each ended, and what was thrown away, in order */
  told: string[];
  join(): Promise<Passage>;
}

export function startPassages(source: Source, { digest = source.digest as Digest } = {}): StartedPassages {
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
