/** Owns what a dry run says in the end: whether limits and room would do for the whole list. */

import { sizeOnDisk } from '../store/ledger.ts';
import type { PrewarmForecast } from './commands.ts';
import type { AirgapParts } from './parts.ts';
import type { Tally } from './tally.ts';

/** @param tally of the dry run */
export function forecastOf(
  tally: Tally,
  { pins, store }: Pick<AirgapParts, 'pins' | 'store'>,
): PrewarmForecast {
  const { pullsLeft, missingPulls, unknownImages } = tally;
  let neededBytes = 0;
  let pinnedAlready = 0;
  for (const { digest, size } of tally.contents()) {
    neededBytes += sizeOnDisk(size);
    if (pins.names(digest)) pinnedAlready += sizeOnDisk(size);
  }
  const pinnedBytes = pins.bytes - pinnedAlready;
  const { maxBytes } = store.ledger;
  return {
    unknownImages,
    pullsNeeded: missingPulls,
    pullsLeft,
    hasPulls: pullsLeft === undefined || missingPulls <= pullsLeft,
    neededBytes,
    pinnedBytes,
    maxBytes,
    hasRoom: neededBytes + pinnedBytes <= maxBytes,
  };
}
