/** `kill -9` again and again inside one download: what upstream sends in all. */
import { createHash } from 'node:crypto';
import { attempt } from '../clients/resuming.ts';
import type { Server } from '../processes.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { type Line, startLine } from '../servers/line.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const mebibyte = 1024 * 1024;
const blobBytes = 100 * mebibyte;
const lineBytesPerSecond = 25_000_000;
const kills = 8;

const name = `${kills} kills inside one download of 100 MiB`;
const sent = 'upstream bytes / size';
const wrong = 'wrong bytes in the end';

export const killed: Scenario = {
  name: 'kills',
  describe: `${name}, a client that asks for the rest after each, upstream at ${lineBytesPerSecond / 1e6} MB/s`,
  needs: ['docker-registry'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startFaultyUpstream(teardown, [{ bytes: blobBytes, seed: 'kills' }]);
    const line = await startLine(teardown, upstream.url, lineBytesPerSecond);
    const rig = { context, sheet: new Sheet(), upstream, line };
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      await measure(rig, 'hubcap', (fresh, dataDirectory) =>
        startHubcap(fresh, { upstreamUrl: line.url, dataDirectory }),
      );
    }
    // Once: it starts from zero each time.
    await measure(rig, 'docker-registry', (fresh, storage) => startDockerRegistry(fresh, line.url, storage));
    return { measurements: rig.sheet.measurements, checks: checks(rig.sheet) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  upstream: FaultyUpstream;
  line: Line;
}

async function measure(
  { context, sheet, upstream, line }: Rig,
  contestant: Contestant,
  start: (fresh: Teardown, directory: string) => Promise<{ server: Server; url: string }>,
): Promise<void> {
  const fresh = new Teardown();
  const [blob] = upstream.blobs;
  if (!blob) throw new Error('no blob');
  try {
    const directory = await fresh.directory('kills');
    const sentBefore = line.sentBytes();
    let hash = createHash('sha256');
    let position = 0;
    for (let life = 0; life <= kills; life++) {
      const { server, url } = await start(fresh, directory);
      // Each life gets an equal part of what the client does not have yet; the last one gets to its end.
      const part = life === kills ? Number.POSITIVE_INFINITY : (blob.size - position) / (kills + 1 - life);
      const made = await attempt(`${url}/v2/${upstream.repository}/blobs/${blob.digest}`, {
        from: position,
        hash,
        isEnough: (bytes) => bytes >= part,
      });
      if (life < kills) await server.kill();
      if (made.status === 206 || position === 0) position += made.bytes;
      else if (life < kills) {
        hash = createHash('sha256'); // it answers the whole: what came before is of no use
        position = 0;
      }
    }
    const isRight = position === blob.size && `sha256:${hash.digest('hex')}` === blob.digest;
    const ratio = (line.sentBytes() - sentBefore) / blob.size;
    sheet.note(name, sent, contestant, ratio);
    if (contestant === 'hubcap') sheet.note(name, wrong, contestant, isRight ? 0 : 1);
    context.say(`${name}, ${contestant}: upstream sent ${format(ratio)} ×${isRight ? '' : '; never whole'}`);
  } finally {
    await fresh.run();
  }
}

/** The worst round counts. */
function checks(sheet: Sheet): Check[] {
  const ratio = Math.max(...sheet.rounds(name, sent, 'hubcap'));
  const wrongOnes = Math.max(...sheet.rounds(name, wrong, 'hubcap'));
  return [
    { name: `${name}: ${sent}`, target: '≤ 1.3', found: format(ratio), passed: ratio <= 1.3 },
    {
      name: `${name}: whole and right`,
      target: 'yes',
      found: wrongOnes === 0 ? 'yes' : 'no',
      passed: wrongOnes === 0,
    },
  ];
}
