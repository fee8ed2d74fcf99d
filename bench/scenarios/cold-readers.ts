/** 48 clients ask for one blob that nobody has yet: what upstream sends, how long they wait, what memory it takes. */
import { read } from '../clients/readers.ts';
import { cpuSeconds, memoryOf } from '../cpu.ts';
import type { Server } from '../processes.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { type Line, startLine } from '../servers/line.ts';
import { startUpstream } from '../servers/upstream.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const repositories = ['bench/one', 'bench/two'] as const;
const readersEach = 24;
const blobBytes = 128 * 1024 * 1024;
/** Who waits for the whole gets nothing before 100 %. A share of the transfer means the same on any machine. */
const mostSentByThen = 25;
/** Slow enough that who waits for the whole is told from who streams, fast enough to press a mirror. */
const lineBytesPerSecond = 200_000_000;
const mebibyte = 1024 * 1024;

const name = `${repositories.length * readersEach} cold readers of one 128 MiB blob`;
const sent = 'upstream bytes / size';
const firstByte = 'ms to first byte, worst reader';
const sentByThen = '% of the size sent by then';
const peak = 'MiB peak RSS';

interface Blob {
  digest: string;
  size: number;
}

export const coldReaders: Scenario = {
  name: 'cold-readers',
  describe: `${name}, through ${repositories.length} repositories, upstream at ${lineBytesPerSecond / 1e6} MB/s`,
  needs: ['docker-registry', 'openssl'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startUpstream(teardown);
    const sheet = new Sheet();
    let blob: Blob | undefined;
    for (const repository of repositories) {
      const push = await upstream.push(repository);
      blob = await push.layer({ bytes: blobBytes, seed: 'cold' }, 'application/octet-stream');
    }
    if (!blob) throw new Error('no repositories');
    const line = await startLine(teardown, upstream.url, lineBytesPerSecond);
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      await measure(context, sheet, line, blob, 'hubcap', (fresh) =>
        startHubcap(fresh, { upstreamUrl: line.url }),
      );
    }
    // Once: it is 49 downloads.
    await measure(context, sheet, line, blob, 'docker-registry', (fresh) =>
      startDockerRegistry(fresh, line.url),
    );
    return { measurements: sheet.measurements, checks: checks(sheet) };
  },
};

/** One round, with a mirror that has nothing yet. */
async function measure(
  { say }: Context,
  sheet: Sheet,
  line: Line,
  { digest, size }: Blob,
  contestant: Contestant,
  start: (fresh: Teardown) => Promise<{ server: Server; url: string }>,
): Promise<void> {
  const fresh = new Teardown();
  try {
    const { server, url } = await start(fresh);
    const sentBefore = line.sentBytes();
    const startedAt = performance.now();
    let sentAtLastBegin = sentBefore;
    const began = (): void => {
      sentAtLastBegin = line.sentBytes();
    };
    const readings = await Promise.all(
      repositories.flatMap((repository) =>
        Array.from({ length: readersEach }, (_, i) =>
          // One reader of each repository looks at the content; all count it.
          read(`${url}/v2/${repository}/blobs/${digest}`, { digest: i === 0 ? digest : undefined, began }),
        ),
      ),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    if (readings.some(({ bytes }) => bytes !== size)) throw new Error('a reader came short');
    const { peakBytes } = await memoryOf(server.pid);
    sheet.note(name, sent, contestant, (line.sentBytes() - sentBefore) / size);
    sheet.note(name, firstByte, contestant, Math.max(...readings.map(({ firstByteMs }) => firstByteMs)));
    sheet.note(name, sentByThen, contestant, (100 * (sentAtLastBegin - sentBefore)) / size);
    sheet.note(name, peak, contestant, peakBytes / mebibyte);
    sheet.note(name, 's until all have all', contestant, seconds);
    sheet.note(name, 'CPU-s of the server', contestant, await cpuSeconds(server.pid));
    say(`${name}, ${contestant}: ${format(seconds)} s, peak RSS ${format(peakBytes / mebibyte)} MiB`);
  } finally {
    await fresh.run();
  }
}

/** The worst round counts. */
function checks(sheet: Sheet): Check[] {
  const limit = (measure: string, unit: string, most: number, target: string): Check => {
    const worst = Math.max(...sheet.rounds(name, unit, 'hubcap'));
    return { name: `${name}: ${measure}`, target, found: format(worst), passed: worst <= most };
  };
  return [
    limit('upstream bytes / size', sent, 1.02, '≤ 1.02'),
    limit(
      '% sent when the last reader has its first byte',
      sentByThen,
      mostSentByThen,
      `≤ ${mostSentByThen}`,
    ),
    limit('peak RSS, MiB', peak, 300, '< 300'),
  ];
}
