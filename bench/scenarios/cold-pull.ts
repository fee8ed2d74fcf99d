/** An image that the mirror does not have, then has: seconds beside pulling straight from upstream. */
import { type Image, pushImage } from '../../test/helpers/engines/image.ts';
import { pull } from '../clients/pull.ts';
import { waitUntilIdle } from '../cpu.ts';
import type { Server } from '../processes.ts';
import { type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { type Line, startLine } from '../servers/line.ts';
import { startUpstream } from '../servers/upstream.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const repository = 'bench/pull';
const tag = 'latest';
/** 120 MB in all, as uneven as images are. */
const layerMegabytes = [60, 30, 16, 8, 5, 1];
/** A good line to a registry: nothing on loopback comes near it, so that what the mirror adds is seen. */
const lineBytesPerSecond = 100_000_000;

const cold = 'first pull of 120 MB';
const warm = 'second pull of 120 MB';
const overDirect = 'seconds / direct';
const sent = 'upstream bytes / size';

export const coldPull: Scenario = {
  name: 'cold-pull',
  describe: `an image of 120 MB in ${layerMegabytes.length} layers, upstream at ${lineBytesPerSecond / 1e6} MB/s`,
  needs: ['docker-registry', 'openssl'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startUpstream(teardown);
    const image = await pushImage(await upstream.push(repository), {
      format: 'oci',
      tag,
      layers: layerMegabytes.map((megabytes) => ({ bytes: megabytes * 1e6, seed: `pull-${megabytes}` })),
    });
    const line = await startLine(teardown, upstream.url, lineBytesPerSecond);
    const sheet = new Sheet();
    await pull({ url: line.url, repository, tag }); // warms up the client
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      const direct = await pull({ url: line.url, repository, tag });
      sheet.note(cold, 's', 'direct', direct.seconds);
      const rig = { context, sheet, line, image, directSeconds: direct.seconds };
      await measure(rig, 'hubcap', (fresh) => startHubcap(fresh, { upstreamUrl: line.url }));
      await measure(rig, 'docker-registry', (fresh) => startDockerRegistry(fresh, line.url));
    }
    return { measurements: sheet.measurements, checks: [] };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  line: Line;
  image: Image;
  directSeconds: number;
}

/** One round, with a mirror that has nothing yet. */
async function measure(
  { context, sheet, line, image, directSeconds }: Rig,
  contestant: Contestant,
  start: (fresh: Teardown) => Promise<{ server: Server; url: string }>,
): Promise<void> {
  const fresh = new Teardown();
  const bytes = sizeOf(image);
  try {
    const { server, url } = await start(fresh);
    for (const name of [cold, warm]) {
      const sentBefore = line.sentBytes();
      const { seconds } = await pull({ url, repository, tag });
      await waitUntilIdle(server.pid); // a mirror may go on storing after its client has all
      sheet.note(name, 's', contestant, seconds);
      sheet.note(name, overDirect, contestant, seconds / directSeconds);
      sheet.note(name, sent, contestant, (line.sentBytes() - sentBefore) / bytes);
      context.say(`${name}, ${contestant}: ${format(seconds)} s, direct ${format(directSeconds)} s`);
    }
  } finally {
    await fresh.run();
  }
}

function sizeOf({ platforms }: Image): number {
  return platforms.flatMap(({ layers }) => layers).reduce((sum, { size }) => sum + size, 0);
}
