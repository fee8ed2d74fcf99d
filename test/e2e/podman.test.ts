/** podman pulls through hubcap, which its `registries.conf` names as the mirror of `docker.io`. */

import t from 'tap';
import type { ImageSpec } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';

const layers = [
  { seed: 'base', bytes: 12_000_000 },
  { seed: 'app', bytes: 200_000 },
  { seed: 'settings', bytes: 1000 },
];
const specs: Record<string, ImageSpec> = {
  'a single image in Docker types': { format: 'docker', tag: '1.0', layers },
  'an OCI index for two platforms': {
    format: 'oci',
    tag: 'latest',
    layers,
    architectures: ['amd64', 'arm64'],
  },
};

for (const [what, spec] of Object.entries(specs)) {
  t.test(`podman pulls ${what} once, and the second pull costs the upstream nothing`, async (t) => {
    if (!needs(t, ...podmanNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const podman = await makePodman(t, stack.hubcap.host);
    const image = await stack.push('library/hubcap-app', spec);
    const name = `docker.io/library/hubcap-app:${spec.tag}`;

    const first = await stack.cost(() => podman('pull', '--quiet', name));
    t.strictSame(byDigest(first, image), onePull('library/hubcap-app', image));
    t.match(await podman('image', 'inspect', '--format', '{{.RepoDigests}}', name), image.digest);

    await podman('rmi', '--all', '--force');
    t.equal(await podman('image', 'ls', '--all', '--quiet'), '', 'podman holds nothing');
    t.strictSame(await stack.cost(() => podman('pull', '--quiet', name)), nothing);

    await podman('rmi', '--all', '--force');
    const name3 = `docker.io/library/hubcap-app@${image.digest}`;
    t.strictSame(await stack.cost(() => podman('pull', '--quiet', name3)), nothing, 'by digest neither');
  });
}
