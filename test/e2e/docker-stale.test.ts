/** What Docker has pulled once it can pull again when the upstream is gone. */

import t from 'tap';
import { dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { startHubcap } from '../helpers/engines/hubcap.ts';
import type { ImageSpec } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { stackNeeds, startStack } from '../helpers/engines/stack.ts';

const spec: ImageSpec = {
  format: 'docker',
  tag: 'latest',
  layers: [
    { seed: 'base', bytes: 2_000_000 },
    { seed: 'app', bytes: 1000 },
  ],
  architectures: ['amd64', 'arm64'],
};

t.test('docker pulls a cached image while the upstream is down', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t, { tagTtl: '0s' });
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  await stack.push('library/hubcap-app', spec);
  const digestBefore = await pullAndRemove(engine.docker);
  await stack.upstream.stop();

  t.equal(await pullAndRemove(engine.docker), digestBefore);
  const metrics = await stack.hubcap.metrics();
  t.ok(metrics.sum('hubcap_requests_total', { outcome: 'stale' }) >= 1, 'and hubcap says that it is stale');
});

t.test(
  'docker pulls a cached image from a hubcap that was started after the upstream went down',
  async (t) => {
    if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
    const stack = await startStack(t, { tagTtl: '0s' });
    const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
    await stack.push('library/hubcap-app', spec);
    const digestBefore = await pullAndRemove(engine.docker);
    await engine.stop();
    await stack.upstream.stop();
    await stack.hubcap.stop();

    const { dataDirectory } = stack.hubcap;
    const restarted = await startHubcap(t, {
      upstreamUrl: stack.upstream.url,
      dataDirectory,
      tagTtl: '0s',
    });
    const another = await startDockerd(t, mirroredBy(restarted.url));
    t.equal(await pullAndRemove(another.docker), digestBefore);
  },
);

/** Returns the digest that was pulled. */
async function pullAndRemove(docker: (...args: string[]) => Promise<string>): Promise<string> {
  await docker('pull', '--quiet', 'hubcap-app');
  const digests = await docker('image', 'inspect', '--format', '{{json .RepoDigests}}', 'hubcap-app');
  await docker('rmi', 'hubcap-app');
  return digests;
}
