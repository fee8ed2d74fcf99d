/** The end of a blob that nobody has yet, over a slow line: eStargz, SOCI and parallel fetchers begin so. */
import { attempt } from '../clients/resuming.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { startLine } from '../servers/line.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const blobBytes = 90 * 1024 * 1024;
const endBytes = 4096;
const lineBytesPerSecond = 8_000_000;

const cold = 'last 4 KiB of a cold 90 MiB blob, upstream at 8 MB/s';
const filling = 'last 4 KiB while the blob is being downloaded';
const seconds = 's until they are there';

export const farRange: Scenario = {
  name: 'far-range',
  describe: cold,
  needs: ['docker-registry'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startFaultyUpstream(teardown, [{ bytes: blobBytes, seed: 'far range' }]);
    const sheet = new Sheet();
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      const rig = { context, sheet, upstream };
      await measure(rig, 'hubcap', (fresh, upstreamUrl) => startHubcap(fresh, { upstreamUrl }));
    }
    // Once: it is the whole blob.
    await measure({ context, sheet, upstream }, 'docker-registry', startDockerRegistry);
    return { measurements: sheet.measurements, checks: checks(sheet) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  upstream: FaultyUpstream;
}

/** Each case with a mirror that has nothing yet, and a line of its own: what an earlier one left behind must not slow it. */
async function measure(
  { context, sheet, upstream }: Rig,
  contestant: Contestant,
  start: (fresh: Teardown, upstreamUrl: string) => Promise<{ url: string }>,
): Promise<void> {
  const [blob] = upstream.blobs;
  if (!blob) throw new Error('no blob');
  for (const name of [cold, filling]) {
    const fresh = new Teardown();
    try {
      const line = await startLine(fresh, upstream.url, lineBytesPerSecond);
      const mirror = await start(fresh, line.url);
      const url = `${mirror.url}/v2/${upstream.repository}/blobs/${blob.digest}`;
      const over = new AbortController();
      if (name === filling) await beginWhole(url, over.signal);
      const made = await attempt(url, { from: blob.size - endBytes });
      over.abort();
      const isThere = made.isComplete && made.bytes === (made.status === 206 ? endBytes : blob.size);
      if (!isThere) throw new Error('the end did not come', { cause: { contestant, made } });
      sheet.note(name, seconds, contestant, made.seconds);
      context.say(`${name}, ${contestant}: ${format(made.seconds)} s, status ${made.status}`);
    } finally {
      await fresh.run();
    }
  }
}

/** Another client, which has the first bytes when this resolves and reads on until the signal. */
function beginWhole(url: string, over: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const isEnough = (): boolean => {
    resolve();
    return over.aborted;
  };
  attempt(url, { isEnough }).then(() => resolve());
  return promise;
}

/** The worst round counts. */
function checks(sheet: Sheet): Check[] {
  return [cold, filling].map((name) => {
    const worst = Math.max(...sheet.rounds(name, seconds, 'hubcap'));
    return { name: `${name}: ${seconds}`, target: '≤ 2', found: format(worst), passed: worst <= 2 };
  });
}
