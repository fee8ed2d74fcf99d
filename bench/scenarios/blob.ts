/** A cached blob of 256 MB: how fast it is sent, and what that costs the server. */
import { join } from 'node:path';
import { runCurls } from '../clients/curl.ts';
import { timed } from '../cpu.ts';
import type { Server } from '../processes.ts';
import { type Check, type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { startNginx } from '../servers/nginx.ts';
import { startUpstream } from '../servers/upstream.ts';
import { format, medianRatio } from '../statistics.ts';

const repository = 'bench/blob';
const name = 'cached blob of 256 MB';
const cpuPerGigabyte = 'CPU-s per GB';
const target = 0.85;
const parallel = 4;

interface Running {
  contestant: Contestant;
  url: string;
  server: Server;
}

export const blob: Scenario = {
  name: 'blob',
  describe: `${name}, ${parallel} clients at once`,
  needs: ['docker-registry', 'openssl', 'nginx', 'curl'],
  async run(context) {
    const { teardown } = context;
    const upstream = await startUpstream(teardown);
    const push = await upstream.push(repository);
    const layer = await push.layer({ bytes: 256_000_000, seed: 'blob' }, 'application/octet-stream');
    const hubcap = await startHubcap(teardown, { upstreamUrl: upstream.url });
    const proxy = await startDockerRegistry(teardown, upstream.url);
    const path = `/v2/${repository}/blobs/${layer.digest}`;
    const cached: Running[] = [
      { contestant: 'hubcap', server: hubcap.server, url: hubcap.url + path },
      { contestant: 'docker-registry', server: proxy.server, url: proxy.url + path },
    ];
    // It goes on storing after its first client has all; the second finds it stored.
    for (const { url } of [...cached, ...cached]) {
      await runCurls({ url, bytes: layer.size, parallel: 1, each: 1 });
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    const hex = layer.digest.slice('sha256:'.length);
    const nginx = await startNginx(
      teardown,
      join(hubcap.dataDirectory, 'v1', 'blobs', 'sha256', hex.slice(0, 2)),
    );
    const servers: Running[] = [
      ...cached,
      { contestant: 'nginx', server: nginx.server, url: `${nginx.copiedUrl}/${hex}` },
      { contestant: 'nginx sendfile', server: nginx.server, url: `${nginx.sendfileUrl}/${hex}` },
    ];
    const sheet = await measure(context, servers, layer.size);
    return { measurements: sheet.measurements, checks: [check(sheet)] };
  },
};

async function measure({ isQuick, say }: Context, servers: Running[], bytes: number): Promise<Sheet> {
  const sheet = new Sheet();
  const rounds = isQuick ? 2 : 5;
  for (let round = 0; round <= rounds; round++) {
    for (const { contestant, url, server } of servers) {
      const isWarmUp = round === 0;
      const each = isWarmUp || isQuick ? 1 : 4;
      const { result, seconds, cpu } = await timed(server.pid, () =>
        runCurls({ url, bytes, parallel, each }),
      );
      if (isWarmUp) continue;
      sheet.note(name, 'GB/s', contestant, result / 1e9 / seconds);
      sheet.note(name, cpuPerGigabyte, contestant, cpu / (result / 1e9));
      say(`${name}, ${contestant}: ${format(cpu / (result / 1e9))} CPU-s per GB`);
    }
  }
  return sheet;
}

function check(sheet: Sheet): Check {
  const costs = (contestant: Contestant): number[] => sheet.rounds(name, cpuPerGigabyte, contestant);
  const ratio = medianRatio(costs('hubcap'), costs('docker-registry'));
  return {
    name: `${name}, CPU per GB`,
    target: `≤ ${target} × docker-registry`,
    found: `${format(ratio)} ×`,
    passed: ratio <= target,
  };
}
