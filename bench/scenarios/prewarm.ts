/** What fetching a list of images costs upstream: twenty that share layers, by upstream's own log. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Image, pushImage } from '../../test/helpers/engines/image.ts';
import { Push } from '../../test/helpers/engines/push.ts';
import { startRegistry } from '../../test/helpers/engines/registry.ts';
import { startTokenServer } from '../../test/helpers/engines/token-server.ts';
import type { Counts } from '../../test/helpers/engines/traffic.ts';
import { runHubcap } from '../clients/command.ts';
import { type Scenario, Sheet } from '../scenario.ts';
import { startHubcap } from '../servers/hubcap.ts';

const images = 20;
const shared = ['base', 'runtime', 'tools'];
const layerBytes = 500_000;

export const prewarm: Scenario = {
  name: 'prewarm',
  describe: 'a list of images that share layers',
  needs: ['docker-registry', 'openssl'],
  async run({ teardown, say }) {
    const tokens = await startTokenServer(teardown.asTest());
    const registry = await startRegistry(teardown.asTest(), tokens);
    const references: string[] = [];
    const pushed: Image[] = [];
    for (let n = 0; n < images; n++) {
      const repository = `bench/app-${n % 4}`;
      const tag = `v${n}`;
      const layers = [...shared, `app ${n}`].map((seed) => ({ bytes: layerBytes, seed }));
      const push = await Push.open(registry.url, tokens, repository);
      const architectures = ['amd64', 'arm64'];
      pushed.push(await pushImage(push, { format: 'oci', tag, layers, architectures }));
      references.push(`${repository}:${tag}`);
    }
    const list = join(await teardown.directory('list'), 'images.txt');
    await writeFile(list, references.join('\n'));
    const hubcap = await startHubcap(teardown, { upstreamUrl: registry.url });
    const before = await registry.traffic();
    const run = await runHubcap(['prewarm', '-f', list, '--pin', '--data', hubcap.dataDirectory]);
    const traffic = (await registry.traffic()).since(before);
    const sheet = new Sheet();
    const note = (unit: string, value: number): void =>
      sheet.note(`prewarm of ${images} images`, unit, 'hubcap', value);
    const [blobs, manifests] = [traffic.blobGets(), traffic.manifestGets()];
    note('blobs sent by upstream', total(blobs));
    note('manifests sent by upstream', total(manifests));
    note('s', run.seconds);
    say(`${total(blobs)} blobs, ${total(manifests)} manifests`);
    const wanted = new Set(pushed.flatMap(blobsOf));
    const most = Math.max(...[...Object.values(blobs), ...Object.values(manifests)]);
    return {
      measurements: sheet.measurements,
      checks: [
        {
          name: `prewarm of ${images} images: the most times that a blob or a manifest left upstream`,
          target: '1',
          found: String(most),
          passed: most === 1,
        },
        {
          name: `prewarm of ${images} images: blobs that left upstream, of those that the platform needs`,
          target: String(wanted.size),
          found: String(Object.keys(blobs).length),
          passed: Object.keys(blobs).length === wanted.size,
        },
      ],
    };
  },
};

function blobsOf({ platforms: [amd64] }: Image): string[] {
  return amd64 ? [amd64.config, ...amd64.layers].map(({ digest }) => digest) : [];
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
