/** Owns going on with the downloads that an earlier process did not finish. */
import { parseRepository } from '../oci/reference.ts';
import type { Partial } from '../store/partials.ts';
import type { Blobs } from './blobs.ts';
import type { UpstreamTable } from './mirrored-upstream.ts';

/** Clients come first: no more than this many at once. */
const CONCURRENCY = 2;

/**
 * Starts the fills again, as a client would by asking. What fails now is resumed when somebody asks for it.
 * @param stop ends it between two
 */
export async function resumePartials(
  partials: readonly Partial[],
  upstreams: UpstreamTable,
  blobs: Blobs,
  stop: AbortSignal,
): Promise<void> {
  const waiting = [...partials];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !stop.aborted; next = waiting.shift()) {
      await resume(next, upstreams, blobs);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}

async function resume({ digest, origin }: Partial, upstreams: UpstreamTable, blobs: Blobs): Promise<void> {
  const upstream = upstreams.named(origin.upstream);
  const repository = parseRepository(origin.repository);
  if (!upstream || !repository) return;
  try {
    const { reader, ended } = await blobs.resume({ upstream, repository, digest });
    reader.close(); // the fill goes on without readers
    await ended;
  } catch {
    // the upstream observer has counted it, and the partial file stays for whoever asks
  }
}
