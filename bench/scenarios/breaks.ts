/** Connections that break inside a blob, and an upstream that flips a bit: what it costs, and what clients get. */
import { attemptWhole } from '../clients/resuming.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { type Line, startLine } from '../servers/line.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const mebibyte = 1024 * 1024;
const blobBytes = 100 * mebibyte;
const lineBytesPerSecond = 100_000_000;
/** Spread over the blob; the last is inside what no reader may see yet. */
const breakAt = [0.1, 0.3, 0.5, 0.8].map((share) => Math.round(share * blobBytes)).concat(blobBytes - 4096);
const MOST_REQUESTS = 12;

const broken = `${breakAt.length} breaks inside one 100 MiB blob`;
const flippedOnce = 'a bit flipped in the first answer';
const flippedAlways = 'a bit flipped in every answer';
const sent = 'upstream bytes / size';
const first = 'first request succeeded';
const requests = 'requests until it is whole and right';
const breaksMet = 'breaks met';
const wrong = 'complete responses with wrong bytes';

export const breaks: Scenario = {
  name: 'breaks',
  describe: 'an upstream whose connections break inside a blob, or that flips a bit',
  needs: ['docker-registry'],
  async run(context) {
    const { teardown, isQuick } = context;
    const upstream = await startFaultyUpstream(teardown, [{ bytes: blobBytes, seed: 'breaks' }]);
    const line = await startLine(teardown, upstream.url, lineBytesPerSecond);
    const rig = { context, sheet: new Sheet(), upstream, line };
    const faults = [
      { name: broken, breakAt },
      { name: flippedOnce, flips: 1 },
      { name: flippedAlways, flips: Number.MAX_SAFE_INTEGER },
    ];
    for (let round = 0; round < (isQuick ? 1 : 3); round++) {
      for (const fault of faults) {
        await measure(rig, fault, 'hubcap', (fresh) => startHubcap(fresh, { upstreamUrl: line.url }));
        await measure(rig, fault, 'docker-registry', (fresh) => startDockerRegistry(fresh, line.url));
      }
    }
    return { measurements: rig.sheet.measurements, checks: checks(rig.sheet) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  upstream: FaultyUpstream;
  line: Line;
}

/** One round with a mirror that has nothing yet, and a client that asks until it has all. */
async function measure(
  { context, sheet, upstream, line }: Rig,
  { name, ...faults }: { name: string; breakAt?: number[]; flips?: number },
  contestant: Contestant,
  start: (fresh: Teardown) => Promise<{ url: string }>,
): Promise<void> {
  const fresh = new Teardown();
  const [blob] = upstream.blobs;
  if (!blob) throw new Error('no blob');
  try {
    const { url } = await start(fresh);
    await upstream.misbehave(faults);
    const sentBefore = line.sentBytes();
    const note = (unit: string, value: number): void => sheet.note(name, unit, contestant, value);
    let wrongOnes = 0;
    let asked = 0;
    let isRight = false;
    const most = faults.flips === Number.MAX_SAFE_INTEGER ? 3 : MOST_REQUESTS;
    while (!isRight && asked < most) {
      const made = await attemptWhole(`${url}/v2/${upstream.repository}/blobs/${blob.digest}`, blob.digest);
      asked += 1;
      isRight = made.isRight;
      if (made.status === 200 && made.isComplete && !isRight) wrongOnes += 1;
      if (asked === 1) note(first, isRight ? 1 : 0);
    }
    if (isRight) note(requests, asked);
    note(wrong, wrongOnes);
    const ratio = (line.sentBytes() - sentBefore) / blob.size;
    note(sent, ratio);
    const met = await upstream.misbehave({});
    if (faults.breakAt) note(breaksMet, met);
    context.say(
      `${name}, ${contestant}: ${asked} requests, upstream sent ${format(ratio)} ×, ${wrongOnes} wrong`,
    );
  } finally {
    await upstream.misbehave({});
    await fresh.run();
  }
}

/** The worst round counts. */
function checks(sheet: Sheet): Check[] {
  const worst = (name: string, unit: string): number => Math.max(...sheet.rounds(name, unit, 'hubcap'));
  const succeeded = Math.min(...sheet.rounds(broken, first, 'hubcap'));
  const wrongOnes = [broken, flippedOnce, flippedAlways].reduce((sum, name) => sum + worst(name, wrong), 0);
  const ratio = worst(broken, sent);
  const met = Math.min(...sheet.rounds(broken, breaksMet, 'hubcap'));
  return [
    {
      name: `${broken}: one client request succeeds`,
      target: 'yes',
      found: `${succeeded === 1 ? 'yes' : 'no'}, after ${met} breaks`,
      passed: succeeded === 1 && met === breakAt.length,
    },
    { name: `${broken}: ${sent}`, target: '≤ 1.05', found: format(ratio), passed: ratio <= 1.05 },
    { name: `breaks and flips: ${wrong}`, target: '0', found: String(wrongOnes), passed: wrongOnes === 0 },
  ];
}
