/** Owns the way of a download's attempts through the endpoints: it decides itself how many it makes. */
import type { Digest } from '../oci/digest.ts';
import type { Repository } from '../oci/reference.ts';
import type { UpstreamObserver } from './asker.ts';
import type { Check } from './download.ts';
import type { Endpoint } from './endpoint.ts';
import { UpstreamError } from './errors.ts';
import { Failover } from './failover.ts';
import { toQuestion } from './question.ts';
import type { Answer, BlobLane } from './transport.ts';

export interface BlobOpenerOptions {
  repository: Repository;
  digest: Digest;
  lane: BlobLane;
  /** in the order in which they are asked */
  endpoints: readonly Endpoint[];
  /** attempts in a row, beyond the first, before an endpoint is told that it fails */
  retries: number;
  observer: Pick<UpstreamObserver, 'failed'>;
  now: () => number;
}

/** One attempt: the head of an answer that `check` accepts, undefined where there is no such blob. */
export type OpenBlob = (
  headers: Record<string, string>,
  signal: AbortSignal,
  check: Check,
) => Promise<Answer | undefined>;

/** @returns what makes one pass through the endpoints for each attempt of one download */
export function blobOpener(options: BlobOpenerOptions): OpenBlob {
  const { repository, digest, lane, endpoints, retries, observer, now } = options;
  const { deadlineMs, ...asked } = toQuestion('blob', repository, `blobs/${digest}`);
  const failover = new Failover(endpoints, asked, now);
  let failedInARow = 0;
  let openedAt: string | undefined;
  return async (headers, signal, check) => {
    if (headers.range === openedAt) failover.passOver(); // it answered to this, and nothing came
    openedAt = headers.range;
    // A validator is good for the endpoint that gave it; the digest is what proves the content in the end.
    const sent = endpoints.length > 1 ? withoutValidator(headers) : headers;
    try {
      const answer = await failover.pass(signal, now() + deadlineMs, async (endpoint, until) => {
        const opened = await endpoint.openBlob(repository, digest, sent, { signal: until, lane });
        if (opened) check(opened, endpoint.address.host);
        return opened;
      });
      failedInARow = 0;
      failover.settle();
      return answer;
    } catch (error) {
      failedInARow += 1;
      if (failedInARow === retries + 1 && error instanceof UpstreamError) observer.failed(error);
      // Whoever waits for all attempts together makes no more of them once that time is over.
      const isLate = signal.aborted && error instanceof UpstreamError && error.reason === 'timeout';
      if (failedInARow > retries || isLate) failover.settle();
      throw error;
    }
  };
}

/** For whoever did not give the validator. */
export function withoutValidator({
  'if-range': _,
  ...others
}: Record<string, string>): Record<string, string> {
  return others;
}
