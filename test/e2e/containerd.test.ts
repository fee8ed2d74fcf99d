/** containerd pulls through hubcap, which its `hosts.toml` names, and says with `ns` what it wants to reach. */

import t from 'tap';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import type { ImageSpec } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';

const layers = [
  { seed: 'base', bytes: 12_000_000 },
  { seed: 'app', bytes: 200_000 },
  { seed: 'settings', bytes: 1000 },
];
const architectures = ['amd64', 'arm64'];
const specs: Record<string, ImageSpec> = {
  'a single image in Docker types': { format: 'docker', tag: '1.0', layers },
  'a manifest list for two platforms': { format: 'docker', tag: 'latest', layers, architectures },
  'an OCI index for two platforms': { format: 'oci', tag: 'latest', layers, architectures },
};

for (const [what, spec] of Object.entries(specs)) {
  t.test(`containerd pulls ${what} once, and the second pull costs the upstream nothing`, async (t) => {
    if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const { ctr, pullFlags } = await startContainerd(t, stack.hubcap.url);
    const image = await stack.push('library/hubcap-app', spec);
    const name = `docker.io/library/hubcap-app:${spec.tag}`;
    const pull = () => ctr('images', 'pull', '--snapshotter=native', ...pullFlags, name);

    const first = await stack.cost(pull);
    t.strictSame(byDigest(first, image), onePull('library/hubcap-app', image));
    t.match(await ctr('images', 'ls'), image.digest);

    await ctr('images', 'rm', '--sync', name);
    t.equal(await ctr('content', 'ls', '--quiet'), '', 'containerd holds nothing');
    t.strictSame(await stack.cost(pull), nothing);
    t.match(await ctr('images', 'ls'), image.digest);
  });
}

t.test('containerd pulls all platforms, each blob once', async (t) => {
  if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const { ctr, pullFlags } = await startContainerd(t, stack.hubcap.url);
  const image = await stack.push('acme/app', { format: 'oci', tag: '1', layers, architectures });
  const flags = ['--snapshotter=native', '--all-platforms', ...pullFlags];

  const cost = await stack.cost(() => ctr('images', 'pull', ...flags, 'docker.io/acme/app:1'));
  t.strictSame(byDigest(cost, image), onePull('acme/app', image, ...architectures));
});

t.test('containerd fetches content without unpacking it, by tag and by digest', async (t) => {
  if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const { ctr, pullFlags } = await startContainerd(t, stack.hubcap.url);
  const image = await stack.push('acme/app', { format: 'docker', tag: '1', layers, architectures });
  const fetch = (name: string) => ctr('content', 'fetch', '--all-platforms', ...pullFlags, name);

  const byTag = await stack.cost(() => fetch('docker.io/acme/app:1'));
  t.strictSame(byDigest(byTag, image), onePull('acme/app', image, ...architectures));
  await ctr('images', 'rm', '--sync', 'docker.io/acme/app:1');
  t.equal(await ctr('content', 'ls', '--quiet'), '');
  t.strictSame(await stack.cost(() => fetch(`docker.io/acme/app@${image.digest}`)), nothing);
});

t.test('containerd says with ns that it means another upstream than the default one', async (t) => {
  if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
  const upstreamHost = 'registry.test';
  const stack = await startStack(t, { upstreamHost });
  const { ctr, pullFlags } = await startContainerd(t, stack.hubcap.url, upstreamHost);
  const image = await stack.push('acme/app', { format: 'oci', tag: '1', layers, architectures });
  const name = `${upstreamHost}/acme/app:1`;

  const cost = await stack.cost(() => ctr('images', 'pull', '--snapshotter=native', ...pullFlags, name));
  t.strictSame(byDigest(cost, image), onePull('acme/app', image));
});
