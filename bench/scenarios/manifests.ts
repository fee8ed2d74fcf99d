/** Cached manifests by tag and by digest: requests per second, processor time per request. */
import type { Image } from '../../test/helpers/engines/image.ts';
import { pushImage } from '../../test/helpers/engines/image.ts';
import { accept, fetchManifest } from '../clients/manifest.ts';
import { timed } from '../cpu.ts';
import type { Server } from '../processes.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { startUpstream } from '../servers/upstream.ts';
import { format, medianRatio } from '../statistics.ts';
import { runWrk } from '../wrk.ts';

const repository = 'bench/manifests';
const connections = 32;
const perSecond = 'requests/s';
const cpuPerRequest = 'CPU-µs per request';
const kinds = ['by digest', 'by tag'] as const;
const targets = { 'by digest': 15, 'by tag': 30 } as const;

export const manifests: Scenario = {
  name: 'manifests',
  describe: `cached manifest by tag and by digest, ${connections} connections`,
  needs: ['docker-registry', 'openssl', 'wrk'],
  async run(context) {
    const { teardown } = context;
    const upstream = await startUpstream(teardown);
    const image = await pushImage(await upstream.push(repository), {
      format: 'oci',
      tag: 'latest',
      layers: Array.from({ length: 8 }, (_, i) => ({ bytes: 1000, seed: `manifests-${i}` })),
    });
    const servers: Running[] = [
      { contestant: 'hubcap', ...(await startHubcap(teardown, { upstreamUrl: upstream.url })) },
      { contestant: 'docker-registry', ...(await startDockerRegistry(teardown, upstream.url)) },
    ];
    const sheet = new Sheet();
    await measure(context, servers, image, sheet);
    return { measurements: sheet.measurements, checks: kinds.map((kind) => check(sheet, kind)) };
  },
};

interface Running {
  contestant: Contestant;
  url: string;
  server: Server;
}

async function measure({ isQuick, say }: Context, servers: Running[], image: Image, sheet: Sheet) {
  const rounds = isQuick ? 2 : 3;
  const seconds = isQuick ? 2 : 6;
  for (const { url } of servers) {
    for (const kind of kinds) await warm(urlOf(url, image, kind), image);
  }
  for (let round = 0; round <= rounds; round++) {
    for (const kind of kinds) {
      for (const { contestant, url, server } of servers) {
        const load = { url: urlOf(url, image, kind), connections, headers: { accept } };
        const isWarmUp = round === 0;
        const { result, cpu } = await timed(server.pid, () =>
          runWrk({ ...load, seconds: isWarmUp ? 2 : seconds }),
        );
        if (isWarmUp) continue;
        const name = `cached manifest ${kind}`;
        sheet.note(name, perSecond, contestant, result.requestsPerSecond);
        sheet.note(name, cpuPerRequest, contestant, (cpu * 1e6) / result.requests);
        sheet.note(name, 'ms, 99th percentile', contestant, result.p99Ms);
        say(`${name}, ${contestant}: ${format(result.requestsPerSecond)} requests/s`);
      }
    }
  }
}

/** Has the manifest cached, and sees that it is what upstream has. */
async function warm(url: string, image: Image): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const { body, digest } = await fetchManifest(url);
    if (!body.equals(image.content) || digest !== image.digest)
      throw new Error('another manifest', { cause: url });
  }
}

function urlOf(url: string, { tag, digest }: Image, kind: (typeof kinds)[number]): string {
  return `${url}/v2/${repository}/manifests/${kind === 'by tag' ? tag : digest}`;
}

function check(sheet: Sheet, kind: (typeof kinds)[number]): Check {
  const name = `cached manifest ${kind}`;
  const rates = (contestant: Contestant): number[] => sheet.rounds(name, perSecond, contestant);
  const ratio = medianRatio(rates('hubcap'), rates('docker-registry'));
  const target = targets[kind];
  return {
    name: `${name}, requests/s`,
    target: `≥ ${target} × docker-registry`,
    found: `${format(ratio)} ×`,
    passed: ratio >= target,
  };
}
