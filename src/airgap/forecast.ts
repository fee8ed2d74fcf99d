/** Owns what a dry run says in the end: whether limits and room would do for the whole list. */

import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import { sizeOnDisk } from '../store/ledger.ts';
import type { PrewarmForecast, PullForecast } from './commands.ts';
import type { AirgapParts } from './parts.ts';
import type { Tally } from './tally.ts';

/** @param tally of the dry run */
export function forecastOf(
  tally: Tally,
  { pins, store }: Pick<AirgapParts, 'pins' | 'store'>,
): PrewarmForecast {
  let neededBytes = 0;
  let pinnedAlready = 0;
  for (const { digest, size } of tally.contents()) {
    neededBytes += sizeOnDisk(size);
    if (pins.names(digest)) pinnedAlready += sizeOnDisk(size);
  }
  const pinnedBytes = pins.bytes - pinnedAlready;
  const { maxBytes } = store.ledger;
  const limits = [...tally.upstreams].map(([upstream, pullsNeeded]) => limitOf(upstream, pullsNeeded));
  return {
    unknownImages: tally.unknownImages,
    pullsNeeded: limits.reduce((sum, { pullsNeeded }) => sum + pullsNeeded, 0),
    limits,
    hasPulls: limits.every(({ hasPulls }) => hasPulls),
    neededBytes,
    pinnedBytes,
    maxBytes,
    hasRoom: neededBytes + pinnedBytes <= maxBytes,
  };
}

/** Accounts that upstream counts as one have their pulls together; one that was never counted may have any number. */
function limitOf({ host, client }: MirroredUpstream, pullsNeeded: number): PullForecast {
  const { accounts } = client;
  const counted = new Map<string, number>();
  for (const { account, source, spare } of accounts) {
    if (spare === undefined) continue;
    const holder = source === undefined ? `account ${account}` : `source ${source}`;
    counted.set(holder, Math.max(spare, counted.get(holder) ?? 0));
  }
  const isUnknown = accounts.some(({ spare }) => spare === undefined);
  const left = [...counted.values()].reduce((sum, spare) => sum + spare, 0);
  return {
    upstream: host,
    pullsNeeded,
    pullsLeft: counted.size === 0 ? undefined : left,
    accounts: accounts.map(({ account, spare }) => ({ account, left: spare })),
    hasPulls: isUnknown || pullsNeeded <= left,
  };
}
