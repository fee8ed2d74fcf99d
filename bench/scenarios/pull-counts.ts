/** What one `docker pull` costs an upstream that wants tokens: by the access log and by the token server. */
import { blobsFor, type Image, pushImage } from '../../test/helpers/engines/image.ts';
import { Push } from '../../test/helpers/engines/push.ts';
import { type Registry, startRegistry } from '../../test/helpers/engines/registry.ts';
import { startTokenServer, type TokenServer } from '../../test/helpers/engines/token-server.ts';
import type { Counts, Traffic } from '../../test/helpers/engines/traffic.ts';
import { pull } from '../clients/pull.ts';
import { waitUntilIdle } from '../cpu.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';

const tag = 'latest';
const repository = 'bench/counted';
/** Another repository with the same content. */
const twin = 'bench/counted-twin';
const layerKilobytes = [9000, 3000, 1000, 300, 100, 1];

const first = 'first pull with tokens';
const second = 'second pull with tokens';
const elsewhere = 'same image by another name, with tokens';

/** What upstream did for one pull. */
interface Cost {
  traffic: Traffic;
  tokens: number;
}

export const pullCounts: Scenario = {
  name: 'pull-counts',
  describe: 'what one docker pull costs an upstream with tokens',
  needs: ['docker-registry', 'openssl'],
  async run(context) {
    const { teardown } = context;
    const tokens = await startTokenServer(teardown.asTest());
    const registry = await startRegistry(teardown.asTest(), tokens);
    const images = [];
    for (const name of [repository, twin]) {
      const push = await Push.open(registry.url, tokens, name);
      images.push(await pushImage(push, describeImage()));
    }
    const [image] = images;
    if (!image) throw new Error('no image');
    const rig = { context, registry, tokens, sheet: new Sheet() };
    const hubcap = await startHubcap(teardown, { upstreamUrl: registry.url });
    const costs = await measure(rig, 'hubcap', hubcap.url, hubcap.server.pid);
    const proxy = await startDockerRegistry(teardown, registry.url);
    await measure(rig, 'docker-registry', proxy.url, proxy.server.pid);
    return { measurements: rig.sheet.measurements, checks: checks(costs, image) };
  },
};

function describeImage() {
  const layers = layerKilobytes.map((kilobytes) => ({
    bytes: kilobytes * 1000,
    seed: `counted-${kilobytes}`,
  }));
  return { format: 'oci', tag, layers, architectures: ['amd64', 'arm64'] } as const;
}

interface Rig {
  context: Context;
  registry: Registry;
  tokens: TokenServer;
  sheet: Sheet;
}

interface Costs {
  first: Cost;
  second: Cost;
  elsewhere: Cost;
}

async function measure(rig: Rig, contestant: Contestant, url: string, pid: number): Promise<Costs> {
  const take = async (name: string, from: string): Promise<Cost> => {
    const cost = await costOf(rig, from, async () => {
      await pull({ url, repository: from, tag });
      await waitUntilIdle(pid); // what it still stores or asks is part of the price
    });
    const { traffic } = cost;
    const { sheet, context } = rig;
    sheet.note(name, 'blobs sent by upstream', contestant, total(traffic.blobGets()));
    sheet.note(name, 'manifests sent by upstream', contestant, total(traffic.manifestGets()));
    sheet.note(name, 'requests to upstream in all', contestant, traffic.exchanges.length);
    sheet.note(name, 'tokens', contestant, cost.tokens);
    context.say(`${name}, ${contestant}: ${traffic.exchanges.length} requests, ${cost.tokens} tokens`);
    return cost;
  };
  return {
    first: await take(first, repository),
    second: await take(second, repository),
    elsewhere: await take(elsewhere, twin),
  };
}

async function costOf({ registry, tokens }: Rig, from: string, work: () => Promise<void>): Promise<Cost> {
  const trafficBefore = await registry.traffic();
  const tokensBefore = tokens.issued(from);
  await work();
  const traffic = (await registry.traffic()).since(trafficBefore);
  return { traffic, tokens: tokens.issued(from) - tokensBefore };
}

function checks(costs: Costs, image: Image): Check[] {
  const wanted = blobsFor(image);
  const gets = costs.first.traffic.blobGets();
  const sentBytes = costs.first.traffic.blobBytes();
  const digests = [...new Set([...Object.keys(wanted), ...Object.keys(gets)])];
  const isOnce = digests.every((digest) => gets[digest] === 1 && sentBytes[digest] === wanted[digest]);
  const tokens = [costs.first.tokens, costs.elsewhere.tokens];
  const again = total(costs.second.traffic.blobGets()) + total(costs.second.traffic.manifestGets());
  return [
    {
      name: `one docker pull: times that each of its ${Object.keys(wanted).length} blobs left upstream`,
      target: '1',
      found: [...new Set(digests.map((digest) => gets[digest] ?? 0))].join(', '),
      passed: isOnce,
    },
    {
      name: 'one docker pull: tokens per repository, two repositories',
      target: '1',
      found: tokens.join(', '),
      passed: tokens.every((count) => count === 1),
    },
    { name: 'the second docker pull: GETs upstream', target: '0', found: String(again), passed: again === 0 },
  ];
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
