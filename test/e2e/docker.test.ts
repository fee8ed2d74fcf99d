/** Docker pulls through hubcap, which is named in `registry-mirrors`. */

import t, { type Test } from 'tap';
import { type Docker, dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { blobsFor, type Image, type ImageSpec, platformOf } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';

const kilobyte = 1024;
const megabyte = kilobyte * kilobyte;

const layers = [
  { seed: 'base', bytes: 20 * megabyte },
  { seed: 'tools', bytes: 3 * megabyte },
  { seed: 'app', bytes: 64 * kilobyte },
  { seed: 'settings', bytes: 1 * kilobyte },
];
const architectures = ['amd64', 'arm64'];

const specs: Record<string, ImageSpec> = {
  'a single image in Docker types': { format: 'docker', tag: '1.0', layers },
  'a single image in OCI types': { format: 'oci', tag: '1.0', layers },
  'a manifest list for two platforms': { format: 'docker', tag: 'latest', layers, architectures },
  'an OCI index for two platforms': { format: 'oci', tag: 'latest', layers, architectures },
};

for (const [what, spec] of Object.entries(specs)) {
  t.test(`docker pulls ${what} once, and the second pull costs the upstream nothing`, async (t) => {
    if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
    const image = await stack.push('library/hubcap-app', spec);
    const name = `hubcap-app:${spec.tag}`;

    const first = await stack.cost(() => engine.docker('pull', '--quiet', name));
    t.strictSame(byDigest(first, image), onePull('library/hubcap-app', image));
    await isExactly(t, engine, name, image);

    await removeAll(t, engine, name);
    const second = await stack.cost(() => engine.docker('pull', '--quiet', name));
    t.strictSame(second, nothing);
    await isExactly(t, engine, name, image);

    await removeAll(t, engine, name);
    const third = await stack.cost(() => engine.docker('pull', '--quiet', `hubcap-app@${image.digest}`));
    t.strictSame(third, nothing, 'by digest neither');

    const metrics = await stack.hubcap.metrics();
    const wanted = Object.values(blobsFor(image)).reduce((sum, bytes) => sum + bytes, 0);
    const fromStore = metrics.sum('hubcap_served_bytes_total', { source: 'store' });
    t.ok(fromStore >= wanted, 'it was hubcap that served', { wanted, fromStore });
    t.equal(metrics.sum('hubcap_requests_total', { outcome: 'error' }), 0);
  });
}

t.test('docker pulls by digest what nobody has pulled by tag', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const spec: ImageSpec = { format: 'oci', tag: 'unused', layers: layers.slice(1), architectures };
  const image = await stack.push('library/hubcap-app', spec);
  const name = `hubcap-app@${image.digest}`;

  const first = await stack.cost(() => engine.docker('pull', '--quiet', name));
  t.strictSame(first, onePull('library/hubcap-app', image));
  await removeAll(t, engine, name);
  t.strictSame(await stack.cost(() => engine.docker('pull', '--quiet', name)), nothing);
});

t.test('another platform costs only what the first one did not', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const spec: ImageSpec = { format: 'docker', tag: 'latest', layers: layers.slice(1), architectures };
  const image = await stack.push('acme/tools', spec);

  await engine.docker('pull', '--quiet', 'acme/tools');
  const other = await stack.cost(() =>
    engine.docker('pull', '--quiet', '--platform=linux/arm64', 'acme/tools'),
  );
  const { digest } = platformOf(image, 'arm64');
  t.strictSame(other, {
    ...onePull('acme/tools', image, 'arm64'),
    manifestGets: { [digest]: 1 },
    tokens: {},
  });
});

t.test('a layer that two repositories share leaves the upstream once', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const [base, ...rest] = layers.slice(1);
  if (base === undefined) throw new Error('no layers');
  const one = await stack.push('library/hubcap-one', { format: 'oci', tag: '1', layers: [base, ...rest] });
  const two = await stack.push('acme/two', { format: 'oci', tag: '1', layers: [base] });

  await engine.docker('pull', '--quiet', 'hubcap-one:1');
  await removeAll(t, engine, 'hubcap-one:1');
  const cost = await stack.cost(() => engine.docker('pull', '--quiet', 'acme/two:1'));

  const shared = platformOf(one, 'amd64').layers[0]?.digest ?? '';
  const { config } = platformOf(two, 'amd64');
  t.equal(platformOf(two, 'amd64').layers[0]?.digest, shared);
  t.strictSame(cost.blobGets, { [config.digest]: 1 }, 'only its configuration is new');
  t.strictSame(cost.tokens, { 'acme/two': 1 });
});

t.test('a tag is confirmed by HEAD, which no limit counts, and fetched when it has moved', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t, { tagTtl: '0s' });
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const [base, top, other] = layers.slice(1);
  if (base === undefined || top === undefined || other === undefined) throw new Error('too few layers');
  const pull = () => engine.docker('pull', '--quiet', 'acme/app:1');

  const old = await stack.push('acme/app', { format: 'oci', tag: '1', layers: [base, top] });
  await pull();
  await isExactly(t, engine, 'acme/app:1', old);
  const before = await stack.upstream.traffic();
  t.strictSame(await stack.cost(pull), nothing);
  const confirmed = (await stack.upstream.traffic()).since(before).manifestHeads();
  t.ok((confirmed['1'] ?? 0) >= 1, 'the upstream was asked', { confirmed });

  const moved = await stack.push('acme/app', { format: 'oci', tag: '1', layers: [base, other] });
  const cost = byDigest(await stack.cost(pull), moved);
  const { config, layers: pushed } = platformOf(moved, 'amd64');
  t.strictSame(cost.manifestGets, { [moved.digest]: 1 });
  t.strictSame(
    Object.keys(cost.blobGets).sort(),
    [config.digest, pushed[1]?.digest].sort(),
    'only what is new',
  );
  await isExactly(t, engine, 'acme/app:1', moved);
});

t.test('two Docker daemons that pull at once cost the upstream one pull', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engines = await Promise.all([
    startDockerd(t, mirroredBy(stack.hubcap.url)),
    startDockerd(t, mirroredBy(stack.hubcap.url)),
  ]);
  const image = await stack.push('library/hubcap-app', { format: 'docker', tag: '1', layers, architectures });

  const cost = await stack.cost(() =>
    Promise.all(engines.map((engine) => engine.docker('pull', '--quiet', 'hubcap-app:1'))),
  );
  t.strictSame(byDigest(cost, image), onePull('library/hubcap-app', image));
  for (const engine of engines) await isExactly(t, engine, 'hubcap-app:1', image);
});

t.test('an image that does not exist fails, and is not mistaken for trouble', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const engine = await startDockerd(t, mirroredBy(stack.hubcap.url));
  const { code } = await engine.try('pull', '--quiet', 'hubcap-absent:1');
  t.not(code, 0);
  const metrics = await stack.hubcap.metrics();
  t.ok(metrics.sum('hubcap_requests_total', { outcome: 'absent' }) >= 1);
  t.equal(metrics.sum('hubcap_requests_total', { outcome: 'error' }), 0);
});

/** Docker holds the image under the digest that was pushed, made of the layers that were pushed. */
async function isExactly(t: Test, engine: Docker, name: string, image: Image): Promise<void> {
  const [found] = JSON.parse(await engine.docker('image', 'inspect', name)) as {
    RepoDigests: string[];
    RootFS: { Layers: string[] };
  }[];
  const { layers } = platformOf(image, 'amd64');
  t.strictSame(found?.RepoDigests, [`${name.replace(/:.*/, '')}@${image.digest}`]);
  t.strictSame(
    found?.RootFS.Layers,
    layers.map(({ diffId }) => diffId),
  );
}

/** After this Docker has to download every layer again. */
async function removeAll(t: Test, engine: Docker, name: string): Promise<void> {
  await engine.docker('rmi', name);
  t.equal(await engine.docker('image', 'ls', '--all', '--quiet'), '', 'Docker holds no image');
}
