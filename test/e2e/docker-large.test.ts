/** Docker pulls a layer of 300 MB through hubcap. */

import t from 'tap';
import { dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { needs } from '../helpers/engines/needs.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';

const megabyte = 1_000_000;

t.test('docker pulls a layer of 300 MB once, and again at no cost to the upstream', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const layers = [
    { seed: 'small', bytes: 1024 },
    { seed: 'large', bytes: 300 * megabyte },
  ];
  const image = await stack.push('library/hubcap-large', { format: 'docker', tag: '1', layers });

  const first = await stack.cost(() => engine.docker('pull', '--quiet', 'hubcap-large:1'));
  t.strictSame(byDigest(first, image), onePull('library/hubcap-large', image));
  await engine.docker('rmi', 'hubcap-large:1');
  const second = await stack.cost(() => engine.docker('pull', '--quiet', 'hubcap-large:1'));
  t.strictSame(second, nothing);
});
