/** One reader of a blob that nobody has yet, alone and beside readers that crawl; cached, and larger than the budget. */
import { startCrawlers } from '../clients/crawlers.ts';
import { attemptWhole } from '../clients/resuming.ts';
import { memoryOf } from '../cpu.ts';
import type { Server } from '../processes.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { startLine } from '../servers/line.ts';
import { format, medianRatio } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const blobBytes = 84_000_000;
const lineBytesPerSecond = 40_000_000;
const crawlers = 20;
const crawlBytesPerSecond = 64 * 1024;
const mebibyte = 1024 * 1024;

const kept = '84 MB at 40 MB/s';
const passed = '84 MB at 40 MB/s, larger than the budget';
const alone = 's alone';
const beside = `s beside ${crawlers} crawling readers`;
const peak = `MiB peak RSS beside ${crawlers} crawling readers`;
const sent = `upstream bytes / size beside ${crawlers} crawling readers`;

export const crawling: Scenario = {
  name: 'crawling',
  describe: `${kept}, with and without ${crawlers} readers that take ${crawlBytesPerSecond / 1024} KiB/s`,
  needs: ['docker-registry'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startFaultyUpstream(teardown, [{ bytes: blobBytes, seed: 'crawling' }]);
    const rig = { context, sheet: new Sheet(), upstream };
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      await measure(rig, kept, 'hubcap', (fresh, upstreamUrl) => startHubcap(fresh, { upstreamUrl }));
      await measure(rig, passed, 'hubcap', (fresh, upstreamUrl) =>
        startHubcap(fresh, { upstreamUrl, maxSize: '64MiB' }),
      );
      await measure(rig, kept, 'docker-registry', startDockerRegistry);
    }
    return { measurements: rig.sheet.measurements, checks: checks(rig.sheet) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  upstream: FaultyUpstream;
}

/** Both cases, each with a mirror that has nothing yet and a line of its own. */
async function measure(
  { context, sheet, upstream }: Rig,
  name: string,
  contestant: Contestant,
  start: (fresh: Teardown, upstreamUrl: string) => Promise<{ server: Server; url: string }>,
): Promise<void> {
  const [blob] = upstream.blobs;
  if (!blob) throw new Error('no blob');
  for (const unit of [alone, beside]) {
    const fresh = new Teardown();
    try {
      const line = await startLine(fresh, upstream.url, lineBytesPerSecond);
      const { server, url } = await start(fresh, line.url);
      const path = `${url}/v2/${upstream.repository}/blobs/${blob.digest}`;
      // Asked for in one moment: who reads must not find a download that is already ahead.
      const crowd = unit === beside ? startCrawlers(path, crawlers, crawlBytesPerSecond) : undefined;
      const made = await attemptWhole(path, blob.digest);
      (await crowd)?.leave();
      if (!made.isRight) throw new Error('not the blob', { cause: { contestant, made } });
      sheet.note(name, unit, contestant, made.seconds);
      const { peakBytes } = await memoryOf(server.pid);
      context.say(
        `${name}, ${contestant}: ${format(made.seconds)} ${unit}, peak ${format(peakBytes / mebibyte)} MiB`,
      );
      if (unit === alone) continue;
      sheet.note(name, peak, contestant, peakBytes / mebibyte);
      sheet.note(name, sent, contestant, line.sentBytes() / blob.size);
    } finally {
      await fresh.run();
    }
  }
}

/** Of time the ratio within a round counts, of memory the worst round. */
function checks(sheet: Sheet): Check[] {
  return [kept, passed].flatMap((name) => {
    const rounds = (unit: string): number[] => sheet.rounds(name, unit, 'hubcap');
    const ratio = medianRatio(rounds(beside), rounds(alone));
    const mebibytes = Math.max(...rounds(peak));
    return [
      { name: `${name}: ${beside} / alone`, target: '≤ 1.3', found: format(ratio), passed: ratio <= 1.3 },
      { name: `${name}: ${peak}`, target: '< 300', found: format(mebibytes), passed: mebibytes < 300 },
    ];
  });
}
