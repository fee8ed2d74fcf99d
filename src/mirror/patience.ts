/** Owns how long a client waits for upstream's word on what is known already. */
import { untilAborted } from '../upstream/abort.ts';
import { transportFailure } from '../upstream/errors.ts';
import type { MirroredUpstream } from './mirrored-upstream.ts';

/**
 * @param asking goes on for whoever else waits, and for those who ask later
 * @returns what `asking` gives
 * @throws UpstreamError when upstream has not said within `confirmMs`; what `asking` throws
 */
export async function untilConfirmed<T>(upstream: MirroredUpstream, asking: Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(upstream.confirmMs);
  try {
    return await untilAborted(asking, late);
  } catch (error) {
    throw error === late.reason ? transportFailure(upstream.host, error) : error;
  }
}
